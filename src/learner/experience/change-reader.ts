/**
 * Reads the changes of the store page by page.
 *
 * A change only names what to look at again. What counts is what the store holds now, so a replacement, a retraction and
 * a score that came before its generation had finished are one case.
 */

import type { ReplayReader } from '../../replay/index.js';
import { pairKey } from './entries.js';

/** Changes that are read at once. */
export const pageSize = 512;

/** What a page of changes names. */
export interface ChangedPage {
  /** Sequence number of the last change of each generation; 0 if only a pair of it has changed. */
  readonly generations: ReadonlyMap<string, number>;
  /** Sequence number of the last change of each compared pair. */
  readonly pairs: ReadonlyMap<string, number>;
  /** Whether generations were removed from the store. */
  readonly hasRemovals: boolean;
  /** Whether more changes may follow. */
  readonly hasMore: boolean;
}

export class ChangeReader {
  #sequence = 0;
  #scoresSeen = 0;
  #removals = 0;

  /** Sequence number of the last change that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Scores and preferences read, replacements included and retractions not. */
  get scoresSeen(): number {
    return this.#scoresSeen;
  }

  /** Removals of generations read. */
  get removals(): number {
    return this.#removals;
  }

  readPage(reader: ReplayReader): ChangedPage {
    const changes = reader.readSince(this.#sequence, pageSize);
    const generations = new Map<string, number>();
    const pairs = new Map<string, number>();
    const removalsBefore = this.#removals;
    for (const change of changes) {
      this.#sequence = change.sequence;
      if (change.type === 'removed') {
        this.#removals += 1;
      } else if (change.type === 'preference') {
        pairs.set(pairKey(change.generationId, change.otherId), change.sequence);
        // The scores of its completions are as old as they were.
        generations.set(change.generationId, generations.get(change.generationId) ?? 0);
        if (change.outcome !== null) this.#scoresSeen += 1;
      } else {
        generations.set(change.generationId, change.sequence);
        if (change.type === 'score' && change.value !== null) this.#scoresSeen += 1;
      }
    }
    const hasRemovals = this.#removals > removalsBefore;
    return { generations, pairs, hasRemovals, hasMore: changes.length === pageSize };
  }
}
