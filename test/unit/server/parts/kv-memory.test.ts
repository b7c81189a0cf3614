import { expect, it } from 'vitest';
import { defaultKvMemory } from '../../../../server/parts/kv-memory.js';
import type { DecoderConfig } from '../../../../src/package/index.js';

const gib = 2 ** 30;
/** 4 MiB per sequence: 2 * 4 layers * 2 heads * 64 * 4 bytes * 1024 tokens. */
const config = { layers: 4, kvHeads: 2, headSize: 64, contextLength: 1024 } as DecoderConfig;
const oneSequence = 4 * 2 ** 20;

it.each([
  ['at most 1 GiB', 64 * gib, gib],
  ['half of the free memory', gib, gib / 2],
  ['at least one sequence of full length', 1000, oneSequence],
])('the default KV cache is %s', (_, freeBytes, expected) => {
  expect(defaultKvMemory(config, freeBytes)).toBe(expected);
});
