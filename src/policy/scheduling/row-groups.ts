/**
 * Groups the rows that share decode steps. All rows of a group have the same version and similar lengths.
 *
 * The cost of a step depends on its longest row, so a row does not share steps with rows that may be more than four
 * times as long. Rows of different versions never share steps, because their weights differ.
 */

import type { HeldVersion } from '../held-versions.js';
import type { KvArena } from '../kv/kv-arena.js';
import { KvCache, type Prefix } from '../kv/kv-cache.js';
import { classFor } from '../kv/kv-layout.js';
import type { Sequence } from './sequence.js';

export interface RowGroup {
  readonly version: HeldVersion;
  /** Length of the longest row that the group accepts. */
  readonly longest: number;
  readonly cache: KvCache;
  /** By row. */
  readonly sequences: Sequence[];
  /** The turn of its last step; 0 before the first step. */
  lastTurn: number;
}

/** A sequence outside of any group, with its keys and values. */
export interface DetachedRow {
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

  /** Number of rows in all groups. */
  get rows(): number {
    let rows = 0;
    for (const { sequences } of this.#groups) rows += sequences.length;
    return rows;
  }

  get sequences(): Sequence[] {
    return this.#groups.flatMap(({ sequences }) => sequences);
  }

  /** Returns the number of sequences for which `which` returns true. */
  count(which: (sequence: Sequence) => boolean): number {
    let count = 0;
    for (const { sequences } of this.#groups) for (const sequence of sequences) if (which(sequence)) count += 1;
    return count;
  }

  /** Adds a sequence that continues a prefix. */
  add(sequence: Sequence, prefix: Prefix): void {
    const group = this.#groupFor(sequence, prefix.length);
    group.cache.append(prefix);
    group.sequences.push(sequence);
  }

  /** Adds a sequence that continues a copy of the only row of a cache. */
  addCopy(sequence: Sequence, cache: KvCache): void {
    const group = this.#groupFor(sequence, cache.lengthOf(0));
    group.cache.copyFrom(cache, 0);
    group.sequences.push(sequence);
  }

  /** Adds a sequence that continues the only row of a cache. The cache is empty afterwards. */
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

  /** Removes the sequences for which `which` returns true. */
  removeWhere(which: (sequence: Sequence) => boolean): void {
    for (const group of this.#groups) {
      for (let row = group.sequences.length - 1; row >= 0; row--) {
        if (which(group.sequences[row] as Sequence)) removeFrom(group, row, group.cache.remove(row));
      }
    }
    this.#dropEmpty();
  }

  /** Detaches the sequences for which `which` returns true, with their keys and values. */
  detachWhere(which: (sequence: Sequence) => boolean): DetachedRow[] {
    const taken: DetachedRow[] = [];
    for (const group of this.#groups) {
      for (let row = group.sequences.length - 1; row >= 0; row--) {
        const sequence = group.sequences[row] as Sequence;
        if (!which(sequence)) continue;
        const cache = new KvCache(this.#arena, false);
        removeFrom(group, row, cache.take(group.cache, row));
        taken.push({ sequence, cache });
      }
    }
    this.#dropEmpty();
    return taken.reverse();
  }

  /** Moves rows that are too long for their group and returns all groups. Valid until rows are added or removed. */
  regroup(): readonly RowGroup[] {
    // Groups that are added during the loop contain only rows that have just moved.
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
