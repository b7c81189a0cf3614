/**
 * Tells the learner process that the store has changed.
 *
 * One message at most is on its way. Changes in the meantime become a single next message, so a flood of writes does not
 * fill the channel.
 */
export class ChangeNotice {
  readonly #send: (sent: () => void) => void;
  #state: 'idle' | 'sending' | 'sending_with_another_to_follow' = 'idle';

  /** @param send sends the message and calls back when it has left */
  constructor(send: (sent: () => void) => void) {
    this.#send = send;
  }

  give(): void {
    if (this.#state === 'idle') this.#sendNow();
    else this.#state = 'sending_with_another_to_follow';
  }

  #sendNow(): void {
    this.#state = 'sending';
    this.#send(() => {
      const hasAnother = this.#state === 'sending_with_another_to_follow';
      this.#state = 'idle';
      if (hasAnother) this.#sendNow();
    });
  }
}
