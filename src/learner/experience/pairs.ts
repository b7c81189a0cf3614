/** Keeps compared pairs among the members: both sides of a pair are there, or neither is. */

import { entryOf, idsOf } from './entries.js';
import type { Example } from './example.js';
import type { Members } from './members.js';

export class Pairs {
  readonly #members: Members;
  /** Keys of the pairs that each generation is in. */
  readonly #keysOf = new Map<string, Set<string>>();

  constructor(members: Members) {
    this.#members = members;
  }

  /**
   * Puts a pair in, or replaces it. A preferred completion is worth half a reward more than the other: IPO is CoPG with
   * that reward.
   * @param strength from -1 (the second is better) to 1 (the first is)
   * @returns how many of the two sides are news
   */
  put(key: string, sides: readonly Pick<Example, 'id' | 'completion'>[], strength: number, sequence: number): number {
    let news = 0;
    for (const [side, { id, completion }] of sides.entries()) {
      const isNews = this.#members.put({
        id: entryOf(key, side),
        groupKey: key,
        kind: 'preference',
        // 0 - 0 is 0. Negating it would give -0, which counts as another reward.
        reward: (side === 0 ? strength : 0 - strength) / 4,
        sequence,
        ...completion,
      });
      if (isNews) news += 1;
      const keys = this.#keysOf.get(id) ?? new Set();
      this.#keysOf.set(id, keys.add(key));
    }
    return news;
  }

  remove(key: string): void {
    for (const side of [0, 1]) this.#members.remove(entryOf(key, side));
    for (const id of idsOf(key)) {
      const keys = this.#keysOf.get(id);
      keys?.delete(key);
      if (keys?.size === 0) this.#keysOf.delete(id);
    }
  }

  /** Removes every pair that a generation is in. */
  removeAllOf(generationId: string): void {
    for (const key of this.#keysOf.get(generationId) ?? []) this.remove(key);
  }

  /** The generations that are in a pair. */
  generationIds(): Iterable<string> {
    return this.#keysOf.keys();
  }
}
