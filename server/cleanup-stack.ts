/** Closes what has been opened, in reverse order, even if some of it fails to close. */

import { HoneError } from '../src/errors.js';

export class CleanupStack {
  readonly #steps: (() => unknown)[] = [];
  readonly #signal: AbortSignal;
  #running: Promise<void> = Promise.resolve();

  /** @param signal aborts when nothing more may be opened */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /**
   * Waits until a part is open and registers how to close it.
   * @throws HoneError `CANCELLED` if the signal aborted meanwhile; the error of `opening` if it fails
   */
  async open<Part>(opening: Promise<Part>, close: (part: Part) => unknown = () => undefined): Promise<Part> {
    const part = await opening;
    this.add(() => close(part));
    if (this.#signal.aborted) throw new HoneError('CANCELLED', 'the server was stopped while it started');
    return part;
  }

  /** Adds a step. It runs before all steps that were added earlier. */
  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** The number of steps so far, for {@link CleanupStack.run}. */
  get length(): number {
    return this.#steps.length;
  }

  /**
   * Runs all steps. A second call waits for the first.
   * @param downTo number of the oldest steps that are left out. Default 0
   * @throws the first error, after all steps have run
   */
  run(downTo = 0): Promise<void> {
    this.#running = this.#running.then(() => this.#runAll(downTo));
    return this.#running;
  }

  async #runAll(downTo: number): Promise<void> {
    const failures: unknown[] = [];
    while (this.#steps.length > downTo) {
      const step = this.#steps.pop();
      try {
        await step?.();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
