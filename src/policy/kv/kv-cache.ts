/**
 * Keys and values of the rows that decode together: per layer and part [n, kv, C, hd] in a region of the arena. The n
 * rows lie at its front, so that a step reads a view of them without copying.
 *
 * C is a bucket (`kv-layout.ts`) that holds the longest row. When that row outgrows it, all rows are moved apart to the
 * next bucket. Numbers beyond a row's length are masked by the graph, but they must be finite. A cache never holds more
 * columns than n times C.
 */

import { Tensor } from 'onnxruntime-node';
import type { KvArena, KvRegion } from './kv-arena.js';
import { bucketFor } from './kv-layout.js';

export type { CacheShape } from './kv-layout.js';

/**
 * The keys and values that a step adds to a cache: [B, kv, S, hd] per layer and part, ordered as {@link KvCache.views}.
 */
export type StepKeyValues = readonly Float32Array[];

/** Keys and values of one row, to be copied into a cache: [kv, stride, hd] per layer and part. */
export interface Prefix {
  readonly parts: readonly Float32Array[];
  /** Number of filled columns. */
  readonly length: number;
  /** Number of columns from one head to the next. */
  readonly stride: number;
}

const nothing: Prefix = { parts: [], length: 0, stride: 0 };

export class KvCache {
  readonly #arena: KvArena;
  readonly #grows: boolean;
  #region: KvRegion | null = null;
  #capacity = 0;
  readonly #lengths: number[] = [];
  readonly #views = new Map<number, readonly Tensor[]>();
  /** Offset of the region when the views were made. */
  #viewedOffset = 0;

  /** @param grows whether rows will join. False for a cache of one prompt or of one parked row. */
  constructor(arena: KvArena, grows = true) {
    this.#arena = arena;
    this.#grows = grows;
  }

  get rows(): number {
    return this.#lengths.length;
  }

  /** Columns per row: the present bucket, or 0 before the first row. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Number of columns that the cache holds in the arena. */
  get columns(): number {
    return this.#region?.columns ?? 0;
  }

  /** Number of filled columns of a row. */
  lengthOf(row: number): number {
    return this.#lengths[row] as number;
  }

  /** Number of columns that another row with a prefix of this length would take from the arena. */
  growthFor(length: number): number {
    return (this.rows + 1) * Math.max(this.#capacity, bucketFor(length + 1)) - this.columns;
  }

  /** Appends a row with a prefix from outside the arena and room for one more column. @returns its index */
  append(prefix: Prefix): number {
    this.#reserve(this.rows + 1, bucketFor(prefix.length + 1));
    this.#fill(this.rows, prefix);
    this.#lengths.push(prefix.length);
    return this.rows - 1;
  }

  /** Appends an empty row with room for `columns`. */
  appendEmpty(columns: number): void {
    this.#reserve(this.rows + 1, bucketFor(columns));
    this.#fill(this.rows, nothing);
    this.#lengths.push(0);
  }

  /**
   * Moves a row of another cache to this one. If the arena has no room for both copies, the row is copied through
   * ordinary memory.
   * @returns the former index of the row that is now at `row` of the other cache, as {@link KvCache.remove} returns it
   */
  take(from: KvCache, row: number): number {
    if (this.#arena.freeColumns >= this.growthFor(from.lengthOf(row))) {
      this.copyFrom(from, row);
      return from.remove(row);
    }
    const { parts, ...size } = from.prefixOf(row);
    const prefix = { ...size, parts: parts.map((part) => part.slice()) };
    const moved = from.remove(row);
    this.append(prefix);
    return moved;
  }

  /** Appends a copy of a row of another cache. */
  copyFrom(from: KvCache, row: number): void {
    const length = from.lengthOf(row);
    // Making room may move the region of the other cache, so its content is looked up afterwards.
    this.#reserve(this.rows + 1, bucketFor(length + 1));
    this.#fill(this.rows, from.prefixOf(row));
    this.#lengths.push(length);
  }

  #fill(row: number, { parts, length, stride }: Prefix): void {
    const { shape, columnSize } = this.#arena;
    const filled = length * shape.headSize;
    const start = (this.#offset + row * this.#capacity) * columnSize;
    for (let index = 0; index < parts.length; index++) {
      const part = this.#arena.parts[index] as Float32Array;
      const source = parts[index] as Float32Array;
      for (let head = 0; head < shape.kvHeads; head++) {
        const from = head * stride * shape.headSize;
        part.set(source.subarray(from, from + filled), start + head * this.#capacity * shape.headSize);
      }
    }
  }

  /**
   * Removes a row. The last row moves into its place.
   * @returns the former index of the row that is now at `row` (equal to `row` if none moved)
   */
  remove(row: number): number {
    const last = this.rows - 1;
    if (row !== last) {
      this.#fill(row, this.prefixOf(last));
      this.#lengths[row] = this.lengthOf(last);
    }
    this.#lengths.pop();
    // An empty cache starts again with a small bucket, so that the next rows do not take as many columns as the last
    // one.
    if (last === 0) this.clear();
    else this.#arena.resize(this.#region as KvRegion, last * this.#capacity);
    return last;
  }

  /** Removes all rows. */
  clear(): void {
    this.#lengths.length = 0;
    if (this.#region !== null) this.#arena.free(this.#region);
    this.#region = null;
    this.#capacity = 0;
    this.#views.clear();
  }

  /** Zeroes a row whose keys and values are not finite, because the next owner of the memory needs finite numbers. */
  zero(row: number): void {
    const { parts, columnSize } = this.#arena;
    const size = this.#capacity * columnSize;
    const start = this.#offset * columnSize + row * size;
    for (const part of parts) part.fill(0, start, start + size);
  }

  /** Returns the content of a row. Valid until this cache changes or any cache grows. */
  prefixOf(row: number): Prefix {
    const { parts, columnSize } = this.#arena;
    const size = this.#capacity * columnSize;
    const start = this.#offset * columnSize + row * size;
    return {
      parts: parts.map((part) => part.subarray(start, start + size)),
      length: this.lengthOf(row),
      stride: this.#capacity,
    };
  }

  /** Makes room for `more` columns in each row. */
  reserveColumns(more: number): void {
    let longest = 0;
    for (const length of this.#lengths) if (length > longest) longest = length;
    if (longest + more > this.#capacity) this.#reserve(this.rows, bucketFor(longest + more));
  }

  /** Returns tensors [rows, kv, C, hd] over the memory of the arena: key and value of layer 0, of layer 1 and so on. */
  views(): readonly Tensor[] {
    if (this.#viewedOffset !== this.#offset) {
      this.#views.clear();
      this.#viewedOffset = this.#offset;
    }
    const known = this.#views.get(this.rows);
    if (known !== undefined) return known;
    const { shape, parts, columnSize } = this.#arena;
    const dims = [this.rows, shape.kvHeads, this.#capacity, shape.headSize];
    const start = this.#offset * columnSize;
    const size = this.rows * this.#capacity * columnSize;
    const views = parts.map((part) => new Tensor('float32', part.subarray(start, start + size), dims));
    this.#views.set(this.rows, views);
    return views;
  }

  /** Appends the keys and values of a step to every row. Room for its columns must have been reserved. */
  write(added: StepKeyValues, steps: number): void {
    const { shape, parts, columnSize } = this.#arena;
    const { kvHeads, headSize } = shape;
    const heads = this.rows * kvHeads;
    const size = steps * headSize;
    const start = this.#offset * columnSize;
    const headStride = this.#capacity * headSize;
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index] as Float32Array;
      const source = added[index] as Float32Array;
      for (let head = 0; head < heads; head++) {
        const length = this.#lengths[(head / kvHeads) | 0] as number;
        const to = start + head * headStride + length * headSize;
        const from = head * size;
        // For the few numbers of one decoded token, a loop is faster than a subarray per row and head.
        if (size <= 256) for (let i = 0; i < size; i++) part[to + i] = source[from + i] as number;
        else part.set(source.subarray(from, from + size), to);
      }
    }
    for (let row = 0; row < this.rows; row++) this.#lengths[row] = this.lengthOf(row) + steps;
  }

  get #offset(): number {
    return this.#region?.offset ?? 0;
  }

  #reserve(rows: number, bucket: number): void {
    const capacity = Math.max(this.#capacity, bucket);
    if (this.#region === null) {
      this.#region = this.#arena.allocate(rows * capacity, this.#grows);
      this.#capacity = capacity;
      return;
    }
    this.#arena.resize(this.#region, rows * capacity);
    if (capacity !== this.#capacity) this.#spread(capacity);
  }

  /**
   * Moves the rows apart for a larger C, in place. It starts with the last head, so that no head is overwritten unread.
   */
  #spread(capacity: number): void {
    const { shape, parts, columnSize } = this.#arena;
    const { kvHeads, headSize } = shape;
    const start = this.#offset * columnSize;
    for (const part of parts) {
      for (let head = this.rows * kvHeads - 1; head > 0; head--) {
        const from = start + head * this.#capacity * headSize;
        const filled = this.lengthOf((head / kvHeads) | 0) * headSize;
        part.copyWithin(start + head * capacity * headSize, from, from + filled);
      }
    }
    this.#capacity = capacity;
    this.#views.clear();
  }
}
