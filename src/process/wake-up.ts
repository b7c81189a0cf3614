/** Sleeps until woken or until some time has passed, whichever comes first. */

/** The longest delay that a timer of Node accepts. */
const longestTimerMs = 2 ** 31 - 1;

export class WakeUp {
  #resume: () => void = () => undefined;

  /** Ends the wait that is going on, if there is one. A later wait is not shortened. */
  call(): void {
    this.#resume();
  }

  /**
   * Resolves with the next {@link call} or after `ms`. A wait of more than 24 days ends early, because no timer is
   * longer.
   * @param ms `null` waits for the call alone
   */
  wait(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(resolve, Math.min(longestTimerMs, Math.max(1, ms)));
      this.#resume = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
