/** What has been opened, and how it is ended: the last first, and all of it, whatever goes wrong on the way. */

export class Endings {
  readonly #endings: (() => unknown)[] = [];
  #running: Promise<void> = Promise.resolve();

  /** Ended before everything that was added earlier. */
  add(end: () => unknown): void {
    this.#endings.push(end);
  }

  /**
   * Ends everything that is still open. Called again, it waits for what is being ended.
   * @throws what went wrong first, once everything has been ended
   */
  run(): Promise<void> {
    this.#running = this.#running.then(() => this.#runAll());
    return this.#running;
  }

  async #runAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let end = this.#endings.pop(); end !== undefined; end = this.#endings.pop()) {
      try {
        await end();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
