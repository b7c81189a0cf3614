/** Generations whose reward waits for the window of a metric to close. */

export class PendingRewards {
  /** When each is due, milliseconds since 1970. */
  readonly #dueAtMs = new Map<string, number>();
  /** Generations that waited in an earlier process and that this one has not met yet. */
  readonly #waitedBefore: Set<string>;

  /** @param waitedBefore from a checkpoint */
  constructor(waitedBefore: Iterable<string> = []) {
    this.#waitedBefore = new Set(waitedBefore);
  }

  get size(): number {
    return this.#dueAtMs.size;
  }

  /** When the next one is due, milliseconds since 1970; null if none waits. */
  get nextDueAtMs(): number | null {
    let next: number | null = null;
    for (const dueAtMs of this.#dueAtMs.values()) next = Math.min(next ?? dueAtMs, dueAtMs);
    return next;
  }

  /** For the checkpoint. */
  ids(): string[] {
    return [...this.#dueAtMs.keys()];
  }

  dueAt(nowMs: number): string[] {
    return [...this.#dueAtMs].filter(([, dueAtMs]) => dueAtMs <= nowMs).map(([id]) => id);
  }

  /**
   * Notes whether a generation waits.
   * @param dueAtMs null if it does not
   * @returns whether its window has closed since an earlier process looked: its reward is news, though no change was
   */
  note(id: string, dueAtMs: number | null): boolean {
    const waitedBefore = this.#waitedBefore.delete(id);
    if (dueAtMs === null) this.#dueAtMs.delete(id);
    else this.#dueAtMs.set(id, dueAtMs);
    return waitedBefore && dueAtMs === null;
  }

  forget(id: string): void {
    this.#dueAtMs.delete(id);
  }
}
