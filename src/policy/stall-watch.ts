/** Reports requests whose reader has not caught up for too long. */

/** Calls back after some time. The returned function cancels that. */
export type After = (ms: number, callback: () => void) => () => void;

/** Uses a timer that does not keep the process alive. */
export const afterMs: After = (ms, callback) => {
  const timer = setTimeout(callback, ms).unref();
  return () => clearTimeout(timer);
};

export class StallWatch {
  readonly #maxStalledMs: number;
  readonly #after: After;
  readonly #onStalled: (request: number) => void;
  /** By request: cancels its timer. */
  readonly #watched = new Map<number, () => void>();

  /** @param onStalled called once per watch, if the reader has not caught up in time */
  constructor(maxStalledMs: number, onStalled: (request: number) => void, after: After = afterMs) {
    this.#maxStalledMs = maxStalledMs;
    this.#onStalled = onStalled;
    this.#after = after;
  }

  /** Call when the reader has fallen behind. */
  start(request: number): void {
    this.stop(request);
    const cancel = this.#after(this.#maxStalledMs, () => {
      this.#watched.delete(request);
      this.#onStalled(request);
    });
    this.#watched.set(request, cancel);
  }

  /** Call when the reader has caught up or the request has ended. */
  stop(request: number): void {
    this.#watched.get(request)?.();
    this.#watched.delete(request);
  }
}
