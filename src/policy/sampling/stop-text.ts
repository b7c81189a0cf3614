/** Text on its way out: held back while it may be the beginning of a stop string, cut where one is complete. */

export class StopText {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    // Half a character never stands in text: it would only be found inside a whole one, and cut it.
    this.#stops = stops.filter((stop) => !/\p{Surrogate}/u.test(stop));
  }

  /** Whether a stop string has appeared; nothing leaves after it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Adds text. @returns what may leave: it holds no stop string and cannot turn into one */
  push(text: string): string {
    if (this.#stopped || text === '') return '';
    if (this.#stops.length === 0) return text;
    const all = this.#held + text;
    const at = this.#earliest(all);
    if (at >= 0) {
      this.#stopped = true;
      this.#held = '';
      return all.slice(0, at);
    }
    const keep = this.#longestBeginning(all);
    this.#held = all.slice(all.length - keep);
    return all.slice(0, all.length - keep);
  }

  /** What was held back, when no more text comes. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  #earliest(text: string): number {
    let earliest = -1;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at >= 0 && (earliest < 0 || at < earliest)) earliest = at;
    }
    return earliest;
  }

  /** Length of the longest end of the text that is the beginning of a stop string. */
  #longestBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
