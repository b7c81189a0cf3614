/** The states of a supervised learner, and which state may follow which. */

import { checkMove, type Moves } from '../../checked-moves.js';
import type { LearnerChild } from './learner-child.js';

export type SupervisorState =
  /** No process has been started yet. */
  | { readonly name: 'created' }
  | { readonly name: 'running'; readonly child: LearnerChild }
  /** The process died; the timer starts the next one. */
  | { readonly name: 'restarting'; readonly timer: NodeJS.Timeout }
  /** The process was told to stop and has not ended yet; `paused` follows. */
  | { readonly name: 'pausing'; readonly child: LearnerChild }
  | { readonly name: 'paused' }
  /** As `pausing`; `closed` follows. */
  | { readonly name: 'closing'; readonly child: LearnerChild }
  | { readonly name: 'closed' };

export const supervisorMoves: Moves<SupervisorState['name']> = {
  created: ['running', 'paused', 'closed'],
  running: ['restarting', 'pausing', 'closing'],
  restarting: ['running', 'paused', 'closed'],
  pausing: ['paused', 'closing'],
  paused: ['running', 'closed'],
  closing: ['closed'],
  closed: [],
};

export class SupervisorLife {
  #state: SupervisorState = { name: 'created' };

  get state(): SupervisorState {
    return this.#state;
  }

  /** The process, from its start until it is gone. */
  get child(): LearnerChild | undefined {
    return 'child' in this.#state ? this.#state.child : undefined;
  }

  /** @throws HoneError `INTERNAL` if {@link supervisorMoves} does not have the move */
  moveTo(state: SupervisorState): void {
    checkMove("the learner's supervisor", supervisorMoves, this.#state.name, state.name);
    this.#state = state;
  }
}
