/** Gives laborious work, such as the encoding of a large answer, a turn of the event loop for each piece of it. */

export class OwnTurns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves in a turn in which no other piece runs. */
  next(): Promise<void> {
    this.#last = this.#last.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.#last;
  }
}
