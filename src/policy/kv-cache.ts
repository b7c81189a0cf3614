/**
 * Keys and values of the rows that decode together: per layer and part one Float32Array [n, kv, C, hd], rows packed at
 * the front so that a step reads a view of the first n rows without copying.
 *
 * C is a bucket (64, 128, 256 ...) that holds the longest row; when that row crosses it, the rows are laid out anew in
 * the next one. What lies beyond a row's length is never read (the graph masks it) but must be finite, which zeroed
 * memory and old keys are.
 */

import { Tensor } from 'onnxruntime-node';

/** Shape of a cache: the same for keys and values of every layer. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/** What a step adds to the cache: keys and values [B, kv, S, hd] per layer, in the order of {@link KvCache.views}. */
export type StepKeyValues = readonly Float32Array[];

/** Keys and values of one prompt, ready to be copied into a cache: [kv, stride, hd] per layer and part. */
export interface Prefix {
  readonly parts: readonly Float32Array[];
  /** Columns that are filled. */
  readonly length: number;
  /** Columns from one head to the next. */
  readonly stride: number;
}

const smallestBucket = 64;

/** The smallest bucket of columns that holds a length. */
export function bucketFor(length: number): number {
  let bucket = smallestBucket;
  while (bucket < length) bucket *= 2;
  return bucket;
}

export class KvCache {
  readonly #shape: CacheShape;
  /** Key and value per layer: 2 * layers arrays, each [rowCapacity, kv, capacity, hd]. */
  #parts: Float32Array[] = [];
  #rowCapacity = 0;
  #capacity = 0;
  readonly #lengths: number[] = [];
  readonly #views = new Map<number, readonly Tensor[]>();

  constructor(shape: CacheShape) {
    this.#shape = shape;
  }

  get rows(): number {
    return this.#lengths.length;
  }

  /** Columns per row: the current bucket, 0 before the first row. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Filled columns of a row. */
  lengthOf(row: number): number {
    return this.#lengths[row] as number;
  }

  /** Appends a row that holds a prefix and has room for at least one more column. @returns its index */
  append(prefix: Prefix): number {
    const row = this.rows;
    this.#reserve(row + 1, prefix.length + 1);
    const { kvHeads, headSize } = this.#shape;
    const filled = prefix.length * headSize;
    for (const [index, part] of this.#parts.entries()) {
      const source = prefix.parts[index] as Float32Array;
      for (let head = 0; head < kvHeads; head++) {
        const from = head * prefix.stride * headSize;
        part.set(source.subarray(from, from + filled), (row * kvHeads + head) * this.#capacity * headSize);
      }
    }
    this.#lengths.push(prefix.length);
    return row;
  }

  /**
   * Takes a row out; the last row moves into its place.
   * @returns the former index of the row that is now at `row` (equal to `row` when none moved)
   */
  remove(row: number): number {
    const last = this.rows - 1;
    if (row !== last) {
      const { kvHeads, headSize } = this.#shape;
      const filled = this.lengthOf(last) * headSize;
      for (const part of this.#parts) {
        for (let head = 0; head < kvHeads; head++) {
          const from = (last * kvHeads + head) * this.#capacity * headSize;
          part.copyWithin((row * kvHeads + head) * this.#capacity * headSize, from, from + filled);
        }
      }
      this.#lengths[row] = this.lengthOf(last);
    }
    this.#lengths.pop();
    // An empty cache starts over small: the next rows need not pay for the columns of the last.
    if (last === 0) this.#release();
    return last;
  }

  /** A row's content as a prefix for another cache; valid until this cache changes. */
  prefixOf(row: number): Prefix {
    const { kvHeads, headSize } = this.#shape;
    const size = kvHeads * this.#capacity * headSize;
    return {
      parts: this.#parts.map((part) => part.subarray(row * size, (row + 1) * size)),
      length: this.lengthOf(row),
      stride: this.#capacity,
    };
  }

  /** Makes room for `more` columns in each row. */
  reserveColumns(more: number): void {
    this.#reserve(this.rows, Math.max(...this.#lengths) + more);
  }

  /** Tensors [rows, kv, C, hd] over the arrays themselves: key and value of layer 0, of layer 1 ... */
  views(): readonly Tensor[] {
    const known = this.#views.get(this.rows);
    if (known !== undefined) return known;
    const { kvHeads, headSize } = this.#shape;
    const dims = [this.rows, kvHeads, this.#capacity, headSize];
    const size = this.rows * kvHeads * this.#capacity * headSize;
    const views = this.#parts.map((part) => new Tensor('float32', part.subarray(0, size), dims));
    this.#views.set(this.rows, views);
    return views;
  }

  /** Writes what a step of S columns brought for every row; room for them was reserved. */
  write(added: StepKeyValues, steps: number): void {
    const { kvHeads, headSize } = this.#shape;
    const heads = this.rows * kvHeads;
    const size = steps * headSize;
    for (let index = 0; index < this.#parts.length; index++) {
      const part = this.#parts[index] as Float32Array;
      const source = added[index] as Float32Array;
      for (let head = 0; head < heads; head++) {
        const length = this.#lengths[(head / kvHeads) | 0] as number;
        const to = (head * this.#capacity + length) * headSize;
        const from = head * size;
        // A loop beats a subarray per row and head at the sizes of one decoded token.
        if (size <= 256) for (let i = 0; i < size; i++) part[to + i] = source[from + i] as number;
        else part.set(source.subarray(from, from + size), to);
      }
    }
    for (let row = 0; row < this.rows; row++) this.#lengths[row] = this.lengthOf(row) + steps;
  }

  #reserve(rows: number, columns: number): void {
    const capacity = Math.max(this.#capacity, bucketFor(columns));
    let rowCapacity = Math.max(this.#rowCapacity, 1);
    while (rowCapacity < rows) rowCapacity *= 2;
    if (capacity === this.#capacity && rowCapacity === this.#rowCapacity) return;
    const { layers, kvHeads, headSize } = this.#shape;
    const old = { parts: this.#parts, capacity: this.#capacity };
    this.#parts = Array.from({ length: 2 * layers }, (_, index) => {
      const part = new Float32Array(rowCapacity * kvHeads * capacity * headSize);
      const source = old.parts[index];
      if (source === undefined) return part;
      for (let head = 0; head < this.rows * kvHeads; head++) {
        const from = head * old.capacity * headSize;
        const filled = this.lengthOf((head / kvHeads) | 0) * headSize;
        part.set(source.subarray(from, from + filled), head * capacity * headSize);
      }
      return part;
    });
    this.#capacity = capacity;
    this.#rowCapacity = rowCapacity;
    this.#views.clear();
  }

  #release(): void {
    this.#parts = [];
    this.#capacity = 0;
    this.#rowCapacity = 0;
    this.#views.clear();
  }
}
