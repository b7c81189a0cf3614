/**
 * Rows that share decode steps: those of one version and of similar length.
 *
 * A step computes over the columns of its longest row, so that rows run apart from those that may be more than four
 * times as long; and the keys and values of one version are never read under another.
 */

import type { HeldVersion } from '../held-versions.js';
import type { KvArena } from '../kv/kv-arena.js';
import { KvCache, type Prefix } from '../kv/kv-cache.js';
import { classFor } from '../kv/kv-layout.js';
import type { Sequence } from './sequence.js';

export interface RowGroup {
  readonly version: HeldVersion;
  /** Longest row that the group takes. */
  readonly longest: number;
  readonly cache: KvCache;
  /** By row. */
  readonly sequences: Sequence[];
  /** The turn of its last step; 0 before the first. */
  lastTurn: number;
}

/** A sequence that was taken out of its group, with its keys and values. */
export interface RestingRow {
  readonly sequence: Sequence;
  readonly cache: KvCache;
}

export class RowGroups {
  readonly #arena: KvArena;
  readonly #contextLength: number;
  #groups: RowGroup[] = [];

  constructor(arena: KvArena, contextLength: number) {
    this.#arena = arena;
    this.#contextLength = contextLength;
  }

  /** Rows of all groups. */
  get rows(): number {
    let rows = 0;
    for (const { sequences } of this.#groups) rows += sequences.length;
    return rows;
  }

  get sequences(): Sequence[] {
    return this.#groups.flatMap(({ sequences }) => sequences);
  }

  /** Rows that `which` names. */
  count(which: (sequence: Sequence) => boolean): number {
    let count = 0;
    for (const { sequences } of this.#groups) for (const sequence of sequences) if (which(sequence)) count += 1;
    return count;
  }

  /** Adds a sequence whose next token will be appended to a prefix. */
  add(sequence: Sequence, prefix: Prefix): void {
    const group = this.#groupFor(sequence, prefix.length);
    group.cache.append(prefix);
    group.sequences.push(sequence);
  }

  /** The same with a copy of the one row of a cache. */
  addCopy(sequence: Sequence, cache: KvCache): void {
    const group = this.#groupFor(sequence, cache.lengthOf(0));
    group.cache.copyFrom(cache, 0);
    group.sequences.push(sequence);
  }

  /** The same with the one row of a cache, which is empty afterwards. */
  addTaken(sequence: Sequence, cache: KvCache): void {
    const group = this.#groupFor(sequence, cache.lengthOf(0));
    group.cache.take(cache, 0);
    group.sequences.push(sequence);
  }

  #groupFor({ request }: Sequence, length: number): RowGroup {
    const version = request.leased;
    const longest = classFor(length + 1, this.#contextLength);
    let group = this.#groups.find((other) => other.version === version && other.longest === longest);
    if (group === undefined) {
      group = { version, longest, cache: new KvCache(this.#arena), sequences: [], lastTurn: 0 };
      this.#groups.push(group);
    }
    return group;
  }

  /** Takes out the sequences that `gone` names. */
  removeWhere(gone: (sequence: Sequence) => boolean): void {
    for (const group of this.#groups) {
      for (let row = group.sequences.length - 1; row >= 0; row--) {
        if (gone(group.sequences[row] as Sequence)) removeFrom(group, row, group.cache.remove(row));
      }
    }
    this.#dropEmpty();
  }

  /** Takes out the sequences that `resting` names, with their keys and values. */
  takeWhere(resting: (sequence: Sequence) => boolean): RestingRow[] {
    const taken: RestingRow[] = [];
    for (const group of this.#groups) {
      for (let row = group.sequences.length - 1; row >= 0; row--) {
        const sequence = group.sequences[row] as Sequence;
        if (!resting(sequence)) continue;
        const cache = new KvCache(this.#arena, false);
        removeFrom(group, row, cache.take(group.cache, row));
        taken.push({ sequence, cache });
      }
    }
    this.#dropEmpty();
    return taken.reverse();
  }

  /** Every group, its rows all short enough for it; valid until rows are added or removed. */
  settled(): readonly RowGroup[] {
    // Groups that come to be here hold rows that have moved already.
    for (let index = 0, count = this.#groups.length; index < count; index++) {
      this.#moveOutgrown(this.#groups[index] as RowGroup);
    }
    this.#dropEmpty();
    return this.#groups;
  }

  #moveOutgrown(group: RowGroup): void {
    for (let row = group.sequences.length - 1; row >= 0; row--) {
      const length = group.cache.lengthOf(row);
      if (length < group.longest) continue;
      const sequence = group.sequences[row] as Sequence;
      const target = this.#groupFor(sequence, length);
      removeFrom(group, row, target.cache.take(group.cache, row));
      target.sequences.push(sequence);
    }
  }

  #dropEmpty(): void {
    if (this.#groups.some(({ sequences }) => sequences.length === 0)) {
      this.#groups = this.#groups.filter(({ sequences }) => sequences.length > 0);
    }
  }
}

function removeFrom({ sequences }: RowGroup, row: number, moved: number): void {
  sequences[row] = sequences[moved] as Sequence;
  sequences.pop();
}
