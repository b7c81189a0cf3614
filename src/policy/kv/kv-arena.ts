/**
 * The memory of all keys and values: one array per layer and part, allocated once when the worker starts, so that
 * serving allocates nothing. Caches hold regions of it, at the same offset in every array.
 *
 * The pages of an array take no memory until they are written. A new region contains what its previous owner left
 * there. These numbers are finite, because memory starts as zeros and rows with other numbers are zeroed.
 */

import { HoneError } from '../../errors.js';
import { bytesPerColumn, type CacheShape, partsOf, smallestBucket } from './kv-layout.js';

/** A range of columns. It may move when any region is allocated or grows. */
export interface KvRegion {
  readonly offset: number;
  readonly columns: number;
}

interface MutableRegion extends KvRegion {
  offset: number;
  columns: number;
  readonly grows: boolean;
}

interface Gap {
  readonly offset: number;
  readonly columns: number;
  /** Columns that the region before the gap may need in order to grow. */
  readonly room: number;
}

export class KvArena {
  readonly shape: CacheShape;
  /** Number of columns. */
  readonly columns: number;
  /** Key and value of layer 0, of layer 1 and so on, each [columns, kv * hd]. */
  readonly parts: readonly Float32Array[];
  /** Number of floats of one column in one part. */
  readonly columnSize: number;
  /** In the order of their offsets. */
  #regions: MutableRegion[] = [];

  /** @throws HoneError `INVALID_OPTIONS` if the system cannot allocate the memory */
  constructor(shape: CacheShape, columns: number) {
    this.shape = shape;
    this.columns = Math.floor(columns / smallestBucket) * smallestBucket;
    this.columnSize = shape.kvHeads * shape.headSize;
    try {
      this.parts = Array.from({ length: partsOf(shape) }, () => new Float32Array(this.columns * this.columnSize));
    } catch (cause) {
      const bytes = this.columns * bytesPerColumn(shape);
      throw new HoneError(
        'INVALID_OPTIONS',
        `the system cannot allocate ${bytes} bytes for keys and values; lower kvMemoryBytes`,
        { cause },
      );
    }
  }

  get freeColumns(): number {
    return this.#regions.reduce((free, { columns }) => free - columns, this.columns);
  }

  /**
   * Allocates a region.
   * @param grows whether the region will grow and needs room for it. Regions that do not grow lie together at the end.
   * @throws HoneError `INTERNAL` if the columns are not free. The budget admits no request without them.
   */
  allocate(columns: number, grows: boolean): KvRegion {
    const region: MutableRegion = { offset: this.columns, columns: 0, grows };
    this.#check(columns);
    const place = grows ? this.#roomy(columns) : this.#last(columns);
    if (place === undefined) this.#compact(region);
    else region.offset = place;
    region.columns = columns;
    this.#insert(region);
    return region;
  }

  /** Changes the size of a region, which keeps its content from the beginning on. @throws HoneError `INTERNAL` */
  resize(region: KvRegion, columns: number): void {
    const mutable = region as MutableRegion;
    if (columns > mutable.columns) this.#grow(mutable, columns);
    mutable.columns = columns;
  }

  free(region: KvRegion): void {
    this.#regions = this.#regions.filter((other) => other !== region);
  }

  #grow(region: MutableRegion, columns: number): void {
    this.#check(columns - region.columns);
    const next = this.#regions[this.#regions.indexOf(region) + 1];
    if (region.offset + columns <= (next?.offset ?? this.columns)) return;
    const place = this.#roomy(columns);
    if (place === undefined) {
      this.#compact(region);
      return;
    }
    const [from, to] = [region.offset * this.columnSize, (region.offset + region.columns) * this.columnSize];
    for (const part of this.parts) part.copyWithin(place * this.columnSize, from, to);
    region.offset = place;
    this.#regions.sort((a, b) => a.offset - b.offset);
  }

  #check(more: number): void {
    const free = this.freeColumns;
    if (more <= free) return;
    throw new HoneError('INTERNAL', `${more} columns of keys and values are needed, but only ${free} are free`);
  }

  #insert(region: MutableRegion): void {
    this.#regions.push(region);
    this.#regions.sort((a, b) => a.offset - b.offset);
  }

  #gaps(): Gap[] {
    const gaps: Gap[] = [];
    let [offset, room] = [0, 0];
    for (const region of [...this.#regions, { offset: this.columns, columns: 0, grows: false }]) {
      if (region.offset > offset) gaps.push({ offset, columns: region.offset - offset, room });
      offset = region.offset + region.columns;
      room = region.grows ? region.columns : 0;
    }
    return gaps;
  }

  /**
   * Returns the first place at which the region and the one before it have room to double, so that growing regions
   * rarely move and few pages are used. If there is no such place, returns the first one that is large enough.
   */
  #roomy(columns: number): number | undefined {
    const gaps = this.#gaps();
    const roomy = gaps.find((gap) => gap.columns >= gap.room + 2 * columns);
    if (roomy !== undefined) return roomy.offset + roomy.room;
    return gaps.find((gap) => gap.columns >= columns)?.offset;
  }

  /** Returns the place at the end of the last gap that is large enough. */
  #last(columns: number): number | undefined {
    const gap = this.#gaps().findLast((next) => next.columns >= columns);
    return gap === undefined ? undefined : gap.offset + gap.columns - columns;
  }

  /** Moves all regions together, `last` behind the others, so that all free columns lie behind it. */
  #compact(last: MutableRegion): void {
    const size = last.columns * this.columnSize;
    const scratch = new Float32Array(size);
    const others = this.#regions.filter((region) => region !== last);
    let end = 0;
    for (const part of this.parts) {
      scratch.set(part.subarray(last.offset * this.columnSize, last.offset * this.columnSize + size));
      end = 0;
      for (const { offset, columns } of others) {
        part.copyWithin(end * this.columnSize, offset * this.columnSize, (offset + columns) * this.columnSize);
        end += columns;
      }
      part.set(scratch, end * this.columnSize);
    }
    end = 0;
    for (const region of others) {
      region.offset = end;
      end += region.columns;
    }
    last.offset = end;
    if (this.#regions.includes(last)) this.#regions = [...others, last];
  }
}
