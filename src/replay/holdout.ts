/** Held-out prompts: they never train, so that versions can be compared on them. */

import { createHash } from 'node:crypto';

/**
 * Whether a prompt is held out. A hash of its group key decides, so the answer never changes and needs no list.
 * @param share of all prompts, 0 (none) to 1 (all)
 */
export function isHeldOut(groupKey: string, share: number): boolean {
  if (share <= 0) return false;
  const hash = createHash('sha256').update('hone-holdout').update(groupKey).digest();
  return hash.readUInt32LE(0) / 2 ** 32 < share;
}
