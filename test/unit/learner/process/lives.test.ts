/** The states of the runner and of the supervisor: every allowed move is made, every other one is refused. */

import { expect, test } from 'vitest';
import type { Moves } from '../../../../src/checked-moves.js';
import type { LearnerChild } from '../../../../src/learner/process/learner-child.js';
import {
  SupervisorLife,
  type SupervisorState,
  supervisorMoves,
} from '../../../../src/learner/process/supervisor-life.js';
import { RunnerLife, type RunnerState, runnerMoves } from '../../../../src/learner/round/runner-life.js';

const child = {} as LearnerChild;
const timer = {} as NodeJS.Timeout;
const supervised: Readonly<Record<SupervisorState['name'], SupervisorState>> = {
  created: { name: 'created' },
  running: { name: 'running', child },
  restarting: { name: 'restarting', timer },
  pausing: { name: 'pausing', child },
  paused: { name: 'paused' },
  closing: { name: 'closing', child },
  closed: { name: 'closed' },
};

/** The shortest way along the moves; every state can be reached. */
function wayTo<State extends string>(moves: Moves<State>, from: State, to: State): State[] {
  const ways: State[][] = [[from]];
  for (const way of ways) {
    const last = way.at(-1) as State;
    if (last === to) return way.slice(1);
    for (const next of moves[last]) if (!ways.some((known) => known.includes(next))) ways.push([...way, next]);
  }
  throw new Error(`${to} cannot be reached from ${from}`);
}

const pairsOf = <State extends string>(moves: Moves<State>): [State, State][] => {
  const states = Object.keys(moves) as State[];
  return states.flatMap((from) => states.map((to): [State, State] => [from, to]));
};

test.each(pairsOf(runnerMoves).filter(([from, to]) => from !== to))(
  'a runner that is %s becomes %s only if the table has that move',
  (from, to) => {
    const life = new RunnerLife();
    for (const state of wayTo<RunnerState>(runnerMoves, 'opening', from)) life.moveTo(state);
    if (runnerMoves[from].includes(to)) {
      life.moveTo(to);
      expect(life.state).toBe(to);
    } else {
      expect(() => life.moveTo(to)).toThrow(
        expect.objectContaining({ code: 'INTERNAL', message: `a learner cannot change from ${from} to ${to}` }),
      );
      expect(life.state).toBe(from);
    }
  },
);

test.each(pairsOf(supervisorMoves))(
  'a supervisor that is %s becomes %s only if the table has that move',
  (from, to) => {
    const life = new SupervisorLife();
    for (const name of wayTo(supervisorMoves, 'created', from)) life.moveTo(supervised[name]);
    if (supervisorMoves[from].includes(to)) {
      life.moveTo(supervised[to]);
      expect(life.state.name).toBe(to);
      expect(life.child !== undefined).toBe(['running', 'pausing', 'closing'].includes(to));
    } else {
      expect(() => life.moveTo(supervised[to])).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
      expect(life.state.name).toBe(from);
    }
  },
);
