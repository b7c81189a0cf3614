/** The key that all completions of one prompt share. */

import { createHash } from 'node:crypto';

/** SHA-256 (hex) over package digest and prompt tokens (as little-endian 32-bit words). */
export function groupKey(packageDigest: string, promptTokens: Iterable<number>): string {
  const words = Uint32Array.from(promptTokens);
  return createHash('sha256').update(packageDigest).update(new Uint8Array(words.buffer)).digest('hex');
}
