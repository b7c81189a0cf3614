/** The prefix cache finds blocks only for exactly the same weights and tokens. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Prefix, StepKeyValues } from '../../../src/policy/kv/kv-cache.js';
import { bytesPerColumn, partsOf } from '../../../src/policy/kv/kv-layout.js';
import { blockLength, PrefixCache } from '../../../src/policy/kv/prefix-cache.js';
import { randomTokens } from '../../support/policy/policy.js';

const shape = { layers: 1, kvHeads: 2, headSize: 2 };
const blockBytes = blockLength * bytesPerColumn(shape);
const { kvHeads, headSize } = shape;

/** Returns a number that depends on the digest and on all tokens up to a column, as a computed key or value does. */
function computedValue(digest: string, tokens: readonly number[], part: number, head: number, column: number): number {
  let value = digest.charCodeAt(0) + 7 * part + 3 * head;
  for (let i = 0; i <= column; i++) value = (value * 31 + (tokens[i] as number) + 1) % 65_521;
  return value;
}

function computed(digest: string, tokens: readonly number[], length = tokens.length): Prefix {
  const stride = length + 3;
  const parts = Array.from({ length: partsOf(shape) }, (_, part) => {
    const data = new Float32Array(kvHeads * stride * headSize);
    for (let head = 0; head < kvHeads; head++) {
      for (let column = 0; column < length; column++) {
        data
          .fill(computedValue(digest, tokens, part, head, column), (head * stride + column) * headSize)
          .fill(0, (head * stride + column + 1) * headSize);
      }
    }
    return data;
  });
  return { parts, length, stride };
}

/** Checks that blocks contain the values of these weights and tokens. */
function expectRight(blocks: readonly StepKeyValues[], digest: string, tokens: readonly number[]): void {
  for (const [index, parts] of blocks.entries()) {
    for (const [part, data] of parts.entries()) {
      const expected = Array.from({ length: kvHeads * blockLength * headSize }, (_, i) => {
        const [head, column] = [Math.floor(i / (blockLength * headSize)), Math.floor(i / headSize) % blockLength];
        return computedValue(digest, tokens, part, head, index * blockLength + column);
      });
      expect([...data]).toEqual(expected);
    }
  }
}

describe('the prefix cache', () => {
  test('is empty and zeroed after it was cleared, and takes new blocks', () => {
    const cache = new PrefixCache(shape, 100 * blockBytes);
    const tokens = randomTokens(100, 1);
    cache.store('a', tokens, computed('a', tokens));
    const [views] = cache.find('a', [...tokens, 1]);
    cache.clear();
    expect(cache.find('a', [...tokens, 1])).toEqual([]);
    expect(cache.status.bytes).toBe(0);
    for (const view of views ?? []) expect([...view].every((value) => value === 0)).toBe(true);
    cache.store('a', tokens, computed('a', tokens));
    expectRight(cache.find('a', [...tokens, 1]), 'a', tokens);
  });

  test('finds the complete blocks at the beginning of a prompt, but never its last token', () => {
    const cache = new PrefixCache(shape, 100 * blockBytes);
    const tokens = randomTokens(100, 1);
    cache.store('a', tokens, computed('a', tokens));
    const found = (prompt: readonly number[], from?: number) => cache.find('a', prompt, from).length;
    expect(found([...tokens, 1, 2])).toBe(3);
    expect(found(tokens.slice(0, 97))).toBe(3);
    expect(found(tokens.slice(0, 96))).toBe(2);
    expect(found(tokens.slice(0, 40))).toBe(1);
    expect(found(tokens.slice(0, 32))).toBe(0);
    expect(found([...tokens.slice(0, 70), 256, ...tokens.slice(71)])).toBe(2);
    expect(found([256, ...tokens.slice(1)])).toBe(0);
    expect(found(tokens, 64)).toBe(1);
    expectRight(cache.find('a', tokens), 'a', tokens);
  });

  test('never returns keys and values of another version', () => {
    const cache = new PrefixCache(shape, 100 * blockBytes);
    const tokens = randomTokens(70, 1);
    cache.store('a', tokens, computed('a', tokens));
    expect(cache.find('b', tokens)).toEqual([]);
    cache.store('b', tokens, computed('b', tokens));
    expectRight(cache.find('a', tokens), 'a', tokens);
    expectRight(cache.find('b', tokens), 'b', tokens);
  });

  test('returns right blocks or none, whatever is stored in however little memory, even if all hashes collide', () => {
    const operation = fc.record({
      store: fc.boolean(),
      digest: fc.constantFrom('a', 'b'),
      // There are few different blocks, so that sequences share them.
      blocks: fc.array(fc.nat(2), { minLength: 1, maxLength: 6 }),
    });
    const collide = () => 1;
    let hits = 0;
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 25 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        (operations, slots, colliding) => {
          const cache = new PrefixCache(shape, slots * blockBytes, ...(colliding ? [collide] : []));
          for (const { store, digest, blocks } of operations) {
            const tokens = blocks.flatMap((start) => Array.from({ length: blockLength }, (_, i) => start * 40 + i));
            if (store) cache.store(digest, tokens, computed(digest, tokens));
            else {
              const found = cache.find(digest, [...tokens, 5]);
              hits += found.length;
              expectRight(found, digest, tokens);
            }
            expect(cache.status.bytes).toBeLessThanOrEqual(slots * blockBytes);
          }
        },
      ),
      { numRuns: 300, seed: 3 },
    );
    expect(hits).toBeGreaterThan(50);
  });

  test('evicts the end of a sequence before its beginning, and the least recently used sequence first', () => {
    const cache = new PrefixCache(shape, 6 * blockBytes);
    const [system, chat] = [randomTokens(64, 1), randomTokens(96, 2)];
    const [first, second] = [
      [...system, ...randomTokens(64, 3)],
      [...system, ...randomTokens(32, 4)],
    ];
    cache.store('a', first, computed('a', first));
    cache.store('a', second, computed('a', second));
    expect(cache.status).toMatchObject({ bytes: 5 * blockBytes, evictedBlocks: 0 });
    cache.store('a', chat, computed('a', chat));
    // The blocks of the first sequence alone were evicted, not the beginning that both sequences share.
    expect(cache.status).toMatchObject({ bytes: 6 * blockBytes, evictedBlocks: 2 });
    expect(cache.find('a', [...first, 1])).toHaveLength(2);
    expect(cache.find('a', [...second, 1])).toHaveLength(3);
    expect(cache.find('a', [...chat, 1])).toHaveLength(3);
  });

  test('keeps the beginning of a sequence that is longer than its memory', () => {
    const cache = new PrefixCache(shape, 2 * blockBytes);
    const tokens = randomTokens(200, 1);
    cache.store('a', tokens, computed('a', tokens));
    const found = cache.find('a', tokens);
    expect(found).toHaveLength(2);
    expectRight(found, 'a', tokens);
  });

  test('keeps nothing if its memory is smaller than a block', () => {
    for (const bytes of [0, blockBytes - 1]) {
      const cache = new PrefixCache(shape, bytes);
      const tokens = randomTokens(80, 1);
      cache.store('a', tokens, computed('a', tokens));
      expect(cache.find('a', tokens)).toEqual([]);
      expect(cache.status).toMatchObject({ bytes: 0, maxBytes: 0 });
    }
  });
});
