/**
 * Compares prefill, chunks, steps over a cache and rows of different lengths with Hugging Face transformers
 * (test/oracles).
 */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDecoder, type Decoder, type StepLogits } from '../../../src/policy/graph/decoder.js';
import type { AdapterFeeds } from '../../../src/policy/graph/packed-linears.js';
import { KvArena } from '../../../src/policy/kv/kv-arena.js';
import { KvCache } from '../../../src/policy/kv/kv-cache.js';
import { largestDifference, readOracleFixture, tinyPackage } from '../../oracles/fixture.js';

const fixture = readOracleFixture();
const vocabulary = 260;
/** The base model is the zero adapter. */
const variants = [
  { name: 'the base', size: 0, expected: fixture.sequences.map(({ logits }) => logits) },
  { name: 'an adapter', size: 1, expected: fixture.sequences.map(({ adaptedLogits }) => adaptedLogits) },
] as const;

let decoder: Decoder;
beforeAll(async () => {
  decoder = await createDecoder({
    modelPath: join(tinyPackage, 'onnx/model.onnx'),
    contextLength: 128,
    threads: 1,
    spin: false,
  });
});
afterAll(() => decoder.close());

const tokensOf = (sequence: number): readonly number[] => fixture.sequences[sequence]?.tokens ?? [];

/** Compares a row of a step's logits with those of transformers after `position`. */
function expectLogits(actual: StepLogits, row: number, expected: Float32Array | undefined, position: number): void {
  const mine = actual.data.subarray(row * vocabulary, (row + 1) * vocabulary);
  const theirs = (expected as Float32Array).subarray(position * vocabulary, (position + 1) * vocabulary);
  expect(largestDifference(mine, theirs), `position ${position}`).toBeLessThan(1e-4);
}

describe.each(variants)('logits of $name agree with transformers', ({ size, expected }) => {
  let adapter: AdapterFeeds;
  beforeAll(() => {
    const { scale, ...rest } = fixture.adapter;
    adapter = decoder.feedsOf({ ...rest, scale: size * scale });
  });

  it('after a prefill of every length', async () => {
    const tokens = tokensOf(3);
    for (let length = 1; length <= tokens.length; length++) {
      const { logits } = await decoder.prefill(tokens.slice(0, length), adapter);
      expectLogits(logits, 0, expected[3], length - 1);
    }
  });

  it('at every step of a sequence that is decoded token by token', async () => {
    const tokens = tokensOf(3);
    const cache = new KvCache(new KvArena(decoder.shape, 1024));
    cache.append((await decoder.prefill(tokens.slice(0, 1), adapter)).prefix);
    for (let position = 1; position < tokens.length; position++) {
      expectLogits(await decoder.step(cache, [tokens[position] as number], adapter), 0, expected[3], position);
    }
  });

  it('after each chunk of a prompt that is prefilled in chunks', async () => {
    const tokens = tokensOf(3);
    const cache = new KvCache(new KvArena(decoder.shape, 1024));
    cache.append((await decoder.prefill(tokens.slice(0, 7), adapter)).prefix);
    for (let at = 7; at < tokens.length; at += 13) {
      const chunk = tokens.slice(at, at + 13);
      expectLogits(await decoder.prefillMore(cache, chunk, adapter), 0, expected[3], at + chunk.length - 1);
    }
  });

  it('for rows of different lengths that step together, one of which leaves', async () => {
    const cache = new KvCache(new KvArena(decoder.shape, 1024));
    // [sequence, tokens prefilled]
    const rows: [number, number][] = [
      [1, 2],
      [3, 30],
      [2, 5],
    ];
    for (const [sequence, length] of rows) {
      cache.append((await decoder.prefill(tokensOf(sequence).slice(0, length), adapter)).prefix);
    }
    for (let step = 0; step < 15; step++) {
      if (step === 5) {
        const moved = cache.remove(0);
        rows[0] = rows[moved] as [number, number];
        rows.pop();
      }
      const tokens = rows.map(([sequence, length]) => tokensOf(sequence)[length] as number);
      const logits = await decoder.step(cache, tokens, adapter);
      for (const [row, entry] of rows.entries()) {
        expectLogits(logits, row, expected[entry[0]], entry[1]);
        entry[1] += 1;
      }
    }
  });
});
