/** Waiting for a word or for a time, whichever comes first. */

/** Longest wait that a timer can be set to. */
const longestMs = 2 ** 31 - 1;

export class Attention {
  #resume: () => void = () => undefined;

  /** Ends the wait; without one, it does nothing. */
  call(): void {
    this.#resume();
  }

  /**
   * Resolves with the next {@link call}, or after some time, which may be less than was asked for where that is weeks.
   * @param ms null: with the call alone
   */
  wait(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, Math.min(longestMs, Math.max(1, ms)));
      this.#resume = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
