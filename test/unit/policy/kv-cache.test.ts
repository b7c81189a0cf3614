import fc from 'fast-check';
import type { Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { KvArena } from '../../../src/policy/kv-arena.js';
import { KvCache, type Prefix } from '../../../src/policy/kv-cache.js';
import { bucketFor } from '../../../src/policy/kv-layout.js';

const shape = { layers: 2, kvHeads: 2, headSize: 3 };
const parts = 2 * shape.layers;

/** The value at a place, told apart from every other. */
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

/** What a step of `steps` columns brings for these rows. */
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

describe('the cache', () => {
  test('buckets are powers of two from 64', () => {
    expect([1, 64, 65, 128, 129, 1000].map(bucketFor)).toEqual([64, 64, 128, 128, 256, 1024]);
  });

  test('keeps every row right through appends, removals, steps and growth', () => {
    const action = fc.oneof(
      fc.record({
        do: fc.constant('append' as const),
        length: fc.integer({ min: 1, max: 70 }),
        gap: fc.integer({ min: 0, max: 3 }),
      }),
      fc.record({ do: fc.constant('remove' as const), which: fc.nat() }),
      fc.record({ do: fc.constant('step' as const), steps: fc.integer({ min: 1, max: 90 }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 12 }), (actions) => {
        const cache = new KvCache(new KvArena(shape, 8192));
        const rows: { id: number; length: number }[] = [];
        let id = 0;
        for (const next of actions) {
          if (next.do === 'append') {
            cache.append(prefixOf(++id, next.length, next.length + next.gap));
            rows.push({ id, length: next.length });
          } else if (rows.length === 0) {
            continue;
          } else if (next.do === 'remove') {
            const row = next.which % rows.length;
            const moved = cache.remove(row);
            rows[row] = rows[moved] as { id: number; length: number };
            rows.pop();
          } else {
            cache.reserveColumns(next.steps);
            cache.write(stepOf(rows, next.steps), next.steps);
            for (const row of rows) row.length += next.steps;
          }
          expectContent(cache, rows);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('views are kept while nothing moves, and read the arrays themselves', () => {
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

  test('a row can move to another cache', () => {
    const [from, to] = [new KvCache(new KvArena(shape, 8192)), new KvCache(new KvArena(shape, 8192))];
    from.append(prefixOf(1, 9));
    from.append(prefixOf(2, 70));
    to.append(from.prefixOf(1));
    from.remove(1);
    expectContent(to, [{ id: 2, length: 70 }]);
    expectContent(from, [{ id: 1, length: 9 }]);
  });

  test('starts over small when it is empty', () => {
    const cache = new KvCache(new KvArena(shape, 8192));
    cache.append(prefixOf(1, 300));
    expect(cache.capacity).toBe(512);
    cache.remove(0);
    cache.append(prefixOf(2, 3));
    expect(cache.capacity).toBe(64);
  });
});
