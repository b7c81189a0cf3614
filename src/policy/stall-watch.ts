/** Readers who do not read: for how long, and whom to end. */

/** Calls back after a time, unless it is called off. */
export type After = (ms: number, callback: () => void) => () => void;

/** By the process's clock; does not keep the process alive. */
export const afterMs: After = (ms, callback) => {
  const timer = setTimeout(callback, ms).unref();
  return () => clearTimeout(timer);
};

export class StallWatch {
  readonly #maxStalledMs: number;
  readonly #after: After;
  readonly #onStalled: (request: number) => void;
  /** What calls each watch off. */
  readonly #watched = new Map<number, () => void>();

  /** @param onStalled told once when a request's reader has not caught up for too long */
  constructor(maxStalledMs: number, onStalled: (request: number) => void, after: After = afterMs) {
    this.#maxStalledMs = maxStalledMs;
    this.#onStalled = onStalled;
    this.#after = after;
  }

  /** The reader has fallen behind. */
  start(request: number): void {
    this.stop(request);
    const callOff = this.#after(this.#maxStalledMs, () => {
      this.#watched.delete(request);
      this.#onStalled(request);
    });
    this.#watched.set(request, callOff);
  }

  /** The reader has caught up, or the request has ended. */
  stop(request: number): void {
    this.#watched.get(request)?.();
    this.#watched.delete(request);
  }
}
