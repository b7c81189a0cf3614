/** What has been opened, and how it is ended: the last first, and all of it, whatever goes wrong on the way. */

import { HoneError } from '../src/errors.js';

export class Endings {
  readonly #endings: (() => unknown)[] = [];
  readonly #signal: AbortSignal;
  #running: Promise<void> = Promise.resolve();

  /** @param signal says that nothing more is to be opened */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /**
   * Waits for a part that takes its time to open.
   * @param end how it is ended: known before anything else happens
   * @throws HoneError `CANCELLED` when the signal came meanwhile; what kept it from opening
   */
  async open<Part>(opening: Promise<Part>, end: (part: Part) => unknown = () => undefined): Promise<Part> {
    const part = await opening;
    this.add(() => end(part));
    if (this.#signal.aborted) throw new HoneError('CANCELLED', 'the server was stopped while it started');
    return part;
  }

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
