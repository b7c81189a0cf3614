/** How much memory keys and values may take where nobody says. */

import type { DecoderConfig } from '../../src/package/index.js';

const mostBytes = 2 ** 30;
/** Keys and values are float32. */
const elementBytes = 4;

/**
 * 1 GiB, or half of what is free if that is less, but never less than what one sequence of full length needs.
 * @param freeBytes what the process may still take
 */
export function defaultKvMemory(config: DecoderConfig, freeBytes: number): number {
  const { layers, kvHeads, headSize, contextLength } = config;
  const oneSequence = 2 * layers * kvHeads * headSize * elementBytes * contextLength;
  return Math.max(oneSequence, Math.min(mostBytes, Math.floor(freeBytes / 2)));
}
