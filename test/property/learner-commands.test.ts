/** Sends commands and scores to a learner in random orders; the learner trains the bandit instead of a decoder. */

import { existsSync, readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LearnerEvent, LiveVersionChange } from '../../src/learner/process/messages.js';
import type { LearnerState } from '../../src/learner/process/status.js';
import { type Checkpoint, readCheckpoint } from '../../src/learner/round/checkpoint.js';
import { type RunnerState, runnerMoves } from '../../src/learner/round/runner-life.js';
import { temporaryFolder } from '../support/folders.js';
import { type Experience, openExperience, settings } from '../support/learner/experience.js';
import { bandit, type Candidate, isCandidate, round, startRunner } from '../support/learner/runner.js';

type Running = ReturnType<typeof startRunner>;

/** A learner with the server's side of it: the live version, and processes that follow each other. */
class Server {
  readonly directory: string;
  readonly #experience: Experience;
  readonly #settings: Parameters<typeof settings>[0];
  /** Every process of the learner, oldest first. */
  readonly processes: Running[] = [];
  live: LiveVersionChange = { version: 0, adapterPath: null, adapterDigest: '', rolledBack: false };
  poisoned = false;
  #rounds = 0;

  constructor(directory: string, experience: Experience, over: Parameters<typeof settings>[0] = {}) {
    this.directory = directory;
    this.#experience = experience;
    this.#settings = { ...bandit, maxStaleness: 1000, ...over };
    this.startLearner();
  }

  get learner(): Running {
    return this.processes.at(-1) as Running;
  }

  get events(): LearnerEvent[] {
    return this.processes.flatMap(({ events }) => events);
  }

  startLearner(): void {
    const { version: liveVersion, ...live } = this.live;
    const learner = startRunner(join(this.directory, 'learner'), this.#experience, {
      ...live,
      liveVersion,
      settings: settings(this.#settings),
      reportEveryMs: 0,
    });
    learner.engine.poisoned = this.poisoned;
    this.processes.push(learner);
  }

  poison(on: boolean): void {
    this.poisoned = on;
    this.learner.engine.poisoned = on;
  }

  /** Scores that are enough for one round. */
  async addScores(): Promise<void> {
    this.#rounds += 1;
    await this.#experience.add(round(this.#rounds, 4, { version: this.live.version }));
    this.learner.runner.handle({ type: 'changed' });
  }

  /** Scores that were given so far. */
  get scores(): number {
    return this.#rounds * bandit.scoresPerRound;
  }

  get lastCandidate(): Candidate | undefined {
    return this.events.findLast(isCandidate);
  }

  async promote(): Promise<void> {
    const candidate = this.lastCandidate;
    if (candidate === undefined || !existsSync(candidate.directory)) return;
    const { version } = this.live;
    const adapterPath = join(this.directory, `version-${version + 1}`);
    await cp(candidate.directory, adapterPath, { recursive: true });
    this.#setLive({ version: version + 1, adapterPath, adapterDigest: candidate.adapterDigest, rolledBack: false });
  }

  rollBack(): void {
    this.#setLive({ version: this.live.version + 1, adapterPath: null, adapterDigest: '', rolledBack: true });
  }

  reject(): void {
    const adapterDigest = this.lastCandidate?.adapterDigest;
    if (adapterDigest !== undefined) this.learner.runner.handle({ type: 'rejected', adapterDigest });
  }

  /** What lies on disk; null before the first process has written any. */
  checkpoint(): Promise<Checkpoint | null> {
    return readCheckpoint(join(this.directory, 'learner', 'checkpoint.safetensors'));
  }

  #setLive(live: LiveVersionChange): void {
    this.live = live;
    this.learner.runner.handle({ type: 'live', ...live });
  }
}

/** Whether a round has ended. */
const isEnd = ({ type }: LearnerEvent): boolean => type === 'candidate' || type === 'setback';

const command = fc.constantFrom('changed', 'relearn', 'erased', 'go_on', 'promote', 'reject', 'roll_back');
type Command = typeof command extends fc.Arbitrary<infer Type> ? Type : never;

async function send(server: Server, what: Command): Promise<void> {
  if (what === 'promote') await server.promote();
  else sendAtOnce(server, what);
}

function sendAtOnce(server: Server, what: Exclude<Command, 'promote'>): void {
  if (what === 'reject') server.reject();
  else if (what === 'roll_back') server.rollBack();
  else server.learner.runner.handle(what === 'relearn' ? { type: what, number: 1 } : { type: what });
}

/** The states that a process reported, without repetitions. */
function statesOf({ events }: Running): LearnerState[] {
  const states = events.flatMap((event) => (event.type === 'progress' ? [event.progress.state] : []));
  return states.filter((state, i) => state !== states[i - 1]);
}

function expectAllowedMoves(states: readonly LearnerState[]): void {
  for (const [i, state] of states.slice(1).entries()) {
    expect(runnerMoves[states[i] as RunnerState]).toContain(state);
  }
}

const randomAction = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ type: 'scores' as const }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('command' as const), command }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), turns: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('poison' as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ type: 'candidate' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'restart' as const }) },
);

test('whatever a learner is told, and whenever it is stopped, it moves between its states as allowed and loses no command', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(randomAction, { minLength: 8, maxLength: 25 }), async (actions) => {
      const directory = temporaryFolder();
      const server = new Server(directory, await openExperience(directory));
      let steps = 0;
      const stop = async (...last: Exclude<Command, 'promote'>[]): Promise<void> => {
        const { learner } = server;
        const path = join(directory, 'learner', 'checkpoint.safetensors');
        const before = existsSync(path) ? readFileSync(path) : null;
        const rejected = server.lastCandidate?.adapterDigest;
        for (const one of last) sendAtOnce(server, one);
        await learner.stop();
        expectAllowedMoves(statesOf(learner));
        if (!learner.events.some(({ type }) => type === 'ready')) {
          // It was stopped before it knew the store, and leaves the checkpoint as it was.
          expect(existsSync(path) ? readFileSync(path) : null).toEqual(before);
          return;
        }
        expect(statesOf(learner).at(-1)).toBe('stopping');
        const state = (await server.checkpoint())?.state;
        expect(state?.liveVersion).toBe(server.live.version);
        expect(state?.steps).toBeGreaterThanOrEqual(steps);
        steps = state?.steps ?? 0;
        if (last.includes('go_on')) expect(state?.setbacks?.haltedBecause).toBeNull();
        if (last.includes('reject')) expect(state?.candidateDigests).not.toContain(rejected);
        if (last.includes('relearn')) {
          const used = state?.uses.reduce((sum, [, uses]) => sum + uses, 0) ?? 0;
          // Nothing is used, unless the round that this starts has had its first step.
          if (used > 0) expect(used + (state?.owedRows ?? 0)).toBe(server.scores * bandit.replayRatio);
        }
      };
      for (const action of actions) {
        if (action.type === 'scores') await server.addScores();
        else if (action.type === 'command') await send(server, action.command);
        else if (action.type === 'poison') server.poison(action.on);
        else if (action.type === 'turns') for (let turn = 0; turn < action.turns; turn++) await nextTurn();
        else if (action.type === 'restart') {
          await stop();
          server.startLearner();
        } else {
          // What was learned so far becomes a candidate, in bounds, so that later commands have one to be about.
          server.poison(false);
          const from = server.learner.events.length;
          server.learner.runner.handle({ type: 'go_on' });
          await server.addScores();
          await server.learner.until(isEnd, from);
        }
      }
      await server.learner.until(({ type }) => type === 'ready');
      await stop('reject', 'roll_back', 'go_on', 'relearn');
    }),
    { numRuns: 12 },
  );
});

const quietStep = fc.record({
  /** What the idle learner is told before the round. */
  commands: fc.array(fc.constantFrom('promote' as const, 'reject' as const, 'roll_back' as const, 'erased' as const), {
    maxLength: 2,
  }),
  begin: fc.constantFrom('scores' as const, 'scores' as const, 'relearn' as const),
  poisoned: fc.boolean(),
  /** The steps of the round after which the learner is stopped and started again. */
  stops: fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 2 }),
});
type QuietStep = typeof quietStep extends fc.Arbitrary<infer Type> ? Type : never;

/** Plays the rounds one after another. Returns what was learned: every pass, every end of a round, the last checkpoint. */
async function play(plan: readonly QuietStep[], withStops: boolean) {
  const directory = temporaryFolder();
  const server = new Server(directory, await openExperience(directory), { guardMaxSetbacks: 1000 });
  const ends = () => server.events.filter(isEnd);
  await server.addScores();
  await server.learner.until(isCandidate);
  for (const { commands, begin, poisoned, stops } of plan) {
    const before = ends().length;
    const hasEnded = (): boolean => ends().length > before;
    const steps = (await server.checkpoint())?.state.steps ?? 0;
    server.poison(poisoned);
    for (const one of commands) await send(server, one);
    if (begin === 'scores') await server.addScores();
    else server.learner.runner.handle({ type: 'relearn', number: 1 });
    for (const stopAfter of withStops ? stops : []) {
      await server.learner.until(
        (event) => hasEnded() || (event.type === 'progress' && event.progress.steps >= steps + stopAfter),
      );
      if (hasEnded()) break;
      await server.learner.stop();
      server.startLearner();
    }
    await server.learner.until(hasEnded);
  }
  await server.learner.stop();
  const checkpoint = await server.checkpoint();
  const passes = server.processes.flatMap(({ engine }) => engine.passes);
  const learned = ends().map((event) =>
    event.type === 'candidate'
      ? [event.adapterDigest, event.metrics, event.lessons]
      : event.type === 'setback'
        ? [event.message, event.numbers]
        : [],
  );
  return { passes, learned, checkpoint };
}

/** The state of a checkpoint, without the order in which the buffer met its entries. */
function sorted(checkpoint: Checkpoint | null) {
  const { uses = [], references = [], givenBack = [], ...state } = checkpoint?.state ?? {};
  return { ...state, uses: [...uses].sort(), references: [...references].sort(), givenBack: [...givenBack].sort() };
}

test('a learner that is stopped in the middle of its rounds draws and learns what one learns that is left alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(quietStep, { minLength: 1, maxLength: 4 }), async (plan) => {
      const [alone, stopped] = [await play(plan, false), await play(plan, true)];
      expect(stopped.passes).toEqual(alone.passes);
      expect(stopped.learned).toEqual(alone.learned);
      expect(stopped.checkpoint?.parameters).toEqual(alone.checkpoint?.parameters);
      expect(stopped.checkpoint?.moments).toEqual(alone.checkpoint?.moments);
      expect(sorted(stopped.checkpoint)).toEqual(sorted(alone.checkpoint));
    }),
    { numRuns: 8 },
  );
});
