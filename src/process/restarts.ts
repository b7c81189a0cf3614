/** How long to wait before a process that ended is started again: the delay doubles with each failure in a row. */

export interface RestartOptions {
  /** Delay after the first failure, milliseconds. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** A process that lived this long was sound: its end counts as a first failure. Default: no life is long enough. */
  readonly stableMs?: number;
}

export class Restarts {
  readonly #options: Required<RestartOptions>;
  #failuresInARow = 0;

  constructor(options: RestartOptions) {
    this.#options = { stableMs: Number.POSITIVE_INFINITY, ...options };
  }

  /**
   * Counts a failure.
   * @param livedMs how long the process lived
   * @returns milliseconds to wait before the next start
   */
  delayAfter(livedMs = 0): number {
    const { firstMs, longestMs, stableMs } = this.#options;
    this.#failuresInARow = livedMs >= stableMs ? 1 : this.#failuresInARow + 1;
    return Math.min(longestMs, firstMs * 2 ** (this.#failuresInARow - 1));
  }

  /** The process has done its work: its next failure is a first one. */
  succeeded(): void {
    this.#failuresInARow = 0;
  }
}
