/** Holds text back while it may be the beginning of a stop string, and cuts it before the first complete one. */

export class StopText {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    // A stop string with half a surrogate pair could only match inside a character, and would cut it.
    this.#stops = stops.filter((stop) => !/\p{Surrogate}/u.test(stop));
  }

  /** Whether a stop string has appeared. No text is returned after it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Adds text. @returns the text that can be sent: it contains no stop string and cannot become part of one */
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

  /** Returns the text that was held back. Call it when no more text comes. */
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

  /** Returns the length of the longest end of the text with which a stop string begins. */
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
