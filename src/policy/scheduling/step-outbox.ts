/** Collects what happens during a turn, to be sent as one message per step. */

import { newStepMessage, type StepMessage } from '../messages.js';

export type Emit = (message: StepMessage) => void;

export class StepOutbox {
  #message = newStepMessage();

  /** The message that is being filled. {@link flush} replaces it. */
  get message(): StepMessage {
    return this.#message;
  }

  /** Starts with an empty message. */
  reset(): void {
    this.#message = newStepMessage();
  }

  /** Sends the message, if anything is in it. @returns whether it was sent */
  flush(emit: Emit): boolean {
    const message = this.#message;
    const { started, tokens, finished, refused, steps } = message;
    if (started.length + tokens.token.length + finished.length + refused.length + steps === 0) return false;
    this.#message = newStepMessage();
    emit(message);
    return true;
  }
}
