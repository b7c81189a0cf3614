/** The default size of the KV cache. */

import type { DecoderConfig } from '../../src/package/index.js';

const mostBytes = 2 ** 30;
/** Keys and values are float32. */
const elementBytes = 4;

/**
 * 1 GiB, or half of the free memory if that is less, but at least the memory of one sequence of full length.
 * @param freeBytes the memory that the process can still allocate
 */
export function defaultKvMemory(config: DecoderConfig, freeBytes: number): number {
  const { layers, kvHeads, headSize, contextLength } = config;
  const oneSequence = 2 * layers * kvHeads * headSize * elementBytes * contextLength;
  return Math.max(oneSequence, Math.min(mostBytes, Math.floor(freeBytes / 2)));
}
