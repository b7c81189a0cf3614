import fc from 'fast-check';
import type { Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { KvArena } from '../../../src/policy/kv/kv-arena.js';
import { KvCache, type Prefix } from '../../../src/policy/kv/kv-cache.js';
import { bucketFor } from '../../../src/policy/kv/kv-layout.js';

const shape = { layers: 2, kvHeads: 2, headSize: 3 };
const parts = 2 * shape.layers;

/** Returns a value that is unique to its place. */
const valueAt = (id: number, part: number, head: number, column: number, i: number): number =>
  id * 1e6 + part * 1e5 + head * 1e4 + column * 10 + i;

function prefixOf(id: number, length: number, stride = length): Prefix {
  return {
    length,
    stride,
    parts: Array.from({ length: parts }, (_, part) => {
      const data = new Float32Array(shape.kvHeads * stride * shape.headSize).fill(-1);
      for (let head = 0; head < shape.kvHeads; head++) {
        for (let column = 0; column < length; column++) {
          for (let i = 0; i < shape.headSize; i++) {
            data[(head * stride + column) * shape.headSize + i] = valueAt(id, part, head, column, i);
          }
        }
      }
      return data;
    }),
  };
}

/** Returns the keys and values of a step of `steps` columns for these rows. */
function stepOf(rows: readonly { id: number; length: number }[], steps: number): Float32Array[] {
  return Array.from({ length: parts }, (_, part) =>
    Float32Array.from(
      rows.flatMap(({ id, length }) =>
        Array.from({ length: shape.kvHeads }, (_h, head) =>
          Array.from({ length: steps }, (_s, step) =>
            Array.from({ length: shape.headSize }, (_i, i) => valueAt(id, part, head, length + step, i)),
          ),
        ).flat(2),
      ),
    ),
  );
}

function expectContent(cache: KvCache, rows: readonly { id: number; length: number }[]): void {
  expect(cache.rows).toBe(rows.length);
  if (rows.length === 0) return;
  expect(rows.map((_, row) => cache.lengthOf(row))).toEqual(rows.map(({ length }) => length));
  for (const [part, view] of cache.views().entries()) {
    expect(view.dims).toEqual([rows.length, shape.kvHeads, cache.capacity, shape.headSize]);
    expect(wrongPlaces(view.data as Float32Array, part, cache.capacity, rows)).toBe(0);
  }
}

function wrongPlaces(
  data: Float32Array,
  part: number,
  capacity: number,
  rows: readonly { id: number; length: number }[],
): number {
  let wrong = data.every(Number.isFinite) ? 0 : 1;
  for (const [row, { id, length }] of rows.entries()) {
    for (let head = 0; head < shape.kvHeads; head++) {
      for (let column = 0; column < length; column++) {
        for (let i = 0; i < shape.headSize; i++) {
          const at = ((row * shape.kvHeads + head) * capacity + column) * shape.headSize + i;
          if (data[at] !== Math.fround(valueAt(id, part, head, column, i))) wrong += 1;
        }
      }
    }
  }
  return wrong;
}

/** @returns 1 if the rows of another cache have moved, otherwise 0 */
function movesOthers(caches: readonly KvCache[], cache: KvCache, act: () => unknown): number {
  const places = () =>
    caches.map((other) =>
      other === cache || other.rows === 0 ? 0 : (other.views()[0] as Tensor & { data: Float32Array }).data.byteOffset,
    );
  const before = places();
  act();
  return String(places()) === String(before) ? 0 : 1;
}

describe('the cache', () => {
  test('has buckets that are multiples of 64, and from 256 on of a quarter of the next lower power of two', () => {
    expect([1, 64, 65, 129, 256, 257, 513, 1000, 1025].map(bucketFor)).toEqual([
      64, 64, 128, 192, 256, 320, 640, 1024, 1280,
    ]);
  });

  test('keeps the content of every row, however rows join, leave, move and grow in a crowded arena', () => {
    const which = { cache: fc.nat(2), row: fc.nat() };
    const action = fc.oneof(
      fc.record({ do: fc.constant('append' as const), cache: fc.nat(2), length: fc.integer({ min: 1, max: 70 }) }),
      fc.record({ do: fc.constant('remove' as const), ...which }),
      fc.record({ do: fc.constant('take' as const), ...which, to: fc.nat(2) }),
      fc.record({ do: fc.constant('copy' as const), ...which, to: fc.nat(2) }),
      fc.record({ do: fc.constant('step' as const), cache: fc.nat(2), steps: fc.integer({ min: 1, max: 90 }) }),
    );
    let [compactions, refusals] = [0, 0];
    const play = (actions: readonly (typeof action extends fc.Arbitrary<infer A> ? A : never)[]) => {
      const arena = new KvArena(shape, 1024);
      const caches = [new KvCache(arena), new KvCache(arena, false), new KvCache(arena)];
      const content: { id: number; length: number }[][] = [[], [], []];
      let id = 0;
      const removed = (cache: number, row: number, moved: number) => {
        const rows = content[cache] as { id: number; length: number }[];
        rows[row] = rows[moved] as { id: number; length: number };
        rows.pop();
      };
      for (const next of actions) {
        const cache = caches[next.cache] as KvCache;
        const rows = content[next.cache] as { id: number; length: number }[];
        if (next.do === 'append') {
          if (cache.growthFor(next.length) > arena.freeColumns) {
            refusals += 1;
            expect(() => cache.append(prefixOf(++id, next.length, next.length + 2))).toThrow('are free');
            continue;
          }
          compactions += movesOthers(caches, cache, () => cache.append(prefixOf(++id, next.length, next.length + 2)));
          rows.push({ id, length: next.length });
        } else if (rows.length === 0) {
          continue;
        } else if (next.do === 'step') {
          const longest = Math.max(...rows.map(({ length }) => length));
          const columns = rows.length * Math.max(cache.capacity, bucketFor(longest + next.steps));
          if (columns - cache.columns > arena.freeColumns) continue;
          compactions += movesOthers(caches, cache, () => cache.reserveColumns(next.steps));
          cache.write(stepOf(rows, next.steps), next.steps);
          for (const row of rows) row.length += next.steps;
        } else {
          const row = next.row % rows.length;
          if (next.do === 'remove') removed(next.cache, row, cache.remove(row));
          else {
            const to = caches[next.to] as KvCache;
            const { length } = rows[row] as { length: number };
            if (to === cache) continue;
            // If there is no room for two copies, a row that moves frees its old place first.
            const free = next.do === 'take' ? arena.freeColumns + cache.capacity : arena.freeColumns;
            if (to.growthFor(length) > free) continue;
            (content[next.to] as { id: number; length: number }[]).push({
              ...(rows[row] as { id: number; length: number }),
            });
            if (next.do === 'copy') to.copyFrom(cache, row);
            else removed(next.cache, row, to.take(cache, row));
          }
        }
        for (const [index, each] of caches.entries()) {
          expectContent(each, content[index] as { id: number; length: number }[]);
          expect(each.columns).toBe(each.rows * each.capacity);
        }
        expect(arena.freeColumns).toBe(1024 - caches.reduce((sum, { columns }) => sum + columns, 0));
      }
    };
    fc.assert(fc.property(fc.array(action, { minLength: 10, maxLength: 40 }), play), { numRuns: 150, seed: 7 });
    // This shows that the arena was crowded: regions were moved, and appends were refused.
    expect(compactions).toBeGreaterThan(10);
    expect(refusals).toBeGreaterThan(10);
  });

  test('returns the same views while nothing moves, and they read the memory of the arena', () => {
    const cache = new KvCache(new KvArena(shape, 8192));
    cache.append(prefixOf(1, 5));
    const view = cache.views()[0] as Tensor;
    cache.reserveColumns(1);
    cache.write(stepOf([{ id: 1, length: 5 }], 1), 1);
    expect(cache.views()[0]).toBe(view);
    expect((view.data as Float32Array)[5 * shape.headSize]).toBe(Math.fround(valueAt(1, 0, 0, 5, 0)));
    cache.append(prefixOf(2, 64));
    expect(cache.capacity).toBe(128);
    expect(cache.views()[0]?.dims).toEqual([2, 2, 128, 3]);
  });

  test('takes a row from another cache', () => {
    const [from, to] = [new KvCache(new KvArena(shape, 8192)), new KvCache(new KvArena(shape, 8192))];
    from.append(prefixOf(1, 9));
    from.append(prefixOf(2, 70));
    to.append(from.prefixOf(1));
    from.remove(1);
    expectContent(to, [{ id: 2, length: 70 }]);
    expectContent(from, [{ id: 1, length: 9 }]);
  });

  test('zeroes a row, so that the next owner of its memory finds finite numbers', () => {
    const arena = new KvArena(shape, 1024);
    const cache = new KvCache(arena);
    cache.append(prefixOf(1, 9));
    cache.append({ ...prefixOf(2, 9), parts: prefixOf(2, 9).parts.map((part) => part.fill(Number.NaN)) });
    cache.zero(1);
    cache.remove(1);
    expectContent(cache, [{ id: 1, length: 9 }]);
    expect(arena.parts.every((part) => part.every(Number.isFinite))).toBe(true);
  });

  test('starts again with the smallest bucket after it was empty', () => {
    const cache = new KvCache(new KvArena(shape, 8192));
    cache.append(prefixOf(1, 300));
    expect(cache.capacity).toBe(320);
    cache.remove(0);
    cache.append(prefixOf(2, 3));
    expect(cache.capacity).toBe(64);
  });
});
