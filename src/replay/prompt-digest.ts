/** The key under which equal prompts are stored once. */

import { createHash } from 'node:crypto';

/** SHA-256 over a prompt's group key (its tokens under one package) and its text or messages as JSON. */
export function promptDigest(groupKey: string, promptJson: string): Uint8Array {
  return createHash('sha256').update(groupKey).update(promptJson).digest();
}
