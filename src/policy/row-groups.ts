/**
 * Rows that share decode steps: those of one version and of similar length.
 *
 * A step computes over the columns of its longest row, so that rows more than two buckets apart run in separate steps;
 * and the keys and values of one version are never read under another.
 */

import type { HeldVersion } from './held-versions.js';
import { type CacheShape, KvCache, type Prefix } from './kv-cache.js';
import type { Sequence } from './sequence.js';

/** Longest row of the first class; each further class is four times as long (two buckets). */
const firstClassLength = 128;

function classLength(length: number): number {
  let longest = firstClassLength;
  while (longest < length) longest *= 4;
  return longest;
}

export interface RowGroup {
  readonly version: HeldVersion;
  /** Longest row that the group takes. */
  readonly longest: number;
  readonly cache: KvCache;
  /** By row. */
  readonly sequences: Sequence[];
}

export class RowGroups {
  readonly #shape: CacheShape;
  #groups: RowGroup[] = [];
  #turn = 0;

  constructor(shape: CacheShape) {
    this.#shape = shape;
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

  /** Adds a sequence whose next token will be appended to a prefix. */
  add(sequence: Sequence, prefix: Prefix): void {
    const { version } = sequence.request;
    const longest = classLength(prefix.length + 1);
    let group = this.#groups.find((other) => other.version === version && other.longest === longest);
    if (group === undefined) {
      group = { version, longest, cache: new KvCache(this.#shape), sequences: [] };
      this.#groups.push(group);
    }
    group.cache.append(prefix);
    group.sequences.push(sequence);
  }

  /** Takes out the sequences that `gone` names. */
  removeWhere(gone: (sequence: Sequence) => boolean): void {
    for (const group of this.#groups) {
      for (let row = group.sequences.length - 1; row >= 0; row--) {
        if (gone(group.sequences[row] as Sequence)) removeRow(group, row);
      }
    }
    this.#groups = this.#groups.filter(({ sequences }) => sequences.length > 0);
  }

  /** The group whose turn it is, its rows all short enough for it; undefined when nothing runs. */
  next(): RowGroup | undefined {
    for (let tried = 0; tried < this.#groups.length; tried++) {
      this.#turn = (this.#turn + 1) % this.#groups.length;
      const group = this.#groups[this.#turn] as RowGroup;
      this.#moveOutgrown(group);
      if (group.sequences.length > 0) return group;
    }
    return undefined;
  }

  #moveOutgrown(group: RowGroup): void {
    for (let row = group.sequences.length - 1; row >= 0; row--) {
      if (group.cache.lengthOf(row) < group.longest) continue;
      this.add(group.sequences[row] as Sequence, group.cache.prefixOf(row));
      removeRow(group, row);
    }
  }
}

function removeRow({ cache, sequences }: RowGroup, row: number): void {
  const moved = cache.remove(row);
  sequences[row] = sequences[moved] as Sequence;
  sequences.pop();
}
