/** The states of a running learner, and which state may follow which. */

import { checkMove, type Moves } from '../../checked-moves.js';
import type { LearnerState } from '../process/status.js';

export type RunnerState =
  /** It reads the checkpoint and the live version's adapter. */
  | 'opening'
  /** It reads the store from the first change to the last. */
  | 'catching_up'
  /** It waits for enough fresh scores. */
  | 'idle'
  /** A round is open. */
  | 'training'
  /** It has stopped itself after several rounds in a row went out of bounds. It starts no round until `go_on`. */
  | 'halted'
  /** It was told to stop and writes the last checkpoint. */
  | 'stopping'
  | 'stopped';

export const runnerMoves: Moves<RunnerState> = {
  opening: ['catching_up'],
  // A learner that is stopped before it has caught up writes no checkpoint: the one on disk knows more than it does.
  catching_up: ['idle', 'halted', 'stopped'],
  // A learner that has set records aside reads its checkpoint and the store again.
  idle: ['training', 'catching_up', 'stopping'],
  training: ['idle', 'halted', 'catching_up', 'stopping'],
  halted: ['idle', 'stopping'],
  stopping: ['stopped'],
  stopped: [],
};

/** The state that each of them is reported as. */
const reported: Readonly<Record<RunnerState, LearnerState>> = {
  opening: 'starting',
  catching_up: 'starting',
  idle: 'idle',
  training: 'training',
  halted: 'halted',
  stopping: 'stopping',
  stopped: 'off',
};

export class RunnerLife {
  #state: RunnerState = 'opening';

  get state(): RunnerState {
    return this.#state;
  }

  get reported(): LearnerState {
    return reported[this.#state];
  }

  /** Staying in a state is no move. @throws HoneError `INTERNAL` if {@link runnerMoves} does not have the move */
  moveTo(state: RunnerState): void {
    if (state === this.#state) return;
    checkMove('a learner', runnerMoves, this.#state, state);
    this.#state = state;
  }
}
