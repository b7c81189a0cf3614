/** Runs asynchronous tasks one after another, in the order in which they come. */

import { HoneError } from '../errors.js';

export class SerialQueue {
  readonly #refusal: string;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param refusal message of the error that a task gets once the queue is closed */
  constructor(refusal: string) {
    this.#refusal = refusal;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Starts a task when all earlier ones have ended. A task that fails does not stop the later ones.
   * @returns what the task returns
   * @throws what the task throws; HoneError `DRAINING` if the queue is closed
   */
  run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new HoneError('DRAINING', this.#refusal));
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Refuses further tasks; resolves when all earlier ones have ended. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }
}
