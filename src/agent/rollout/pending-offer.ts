/** An adapter that the learner has trained and offers. It becomes a version when the way is free. */

import { rm } from 'node:fs/promises';
import type { LearnerEvent } from '../../learner/index.js';

export type PendingOffer = Extract<LearnerEvent, { readonly type: 'candidate' }>;

/**
 * Removes the files of an offer that will not become a version.
 * @param exceptIn a directory that stays: a learner that was killed may have written its next offer there
 */
export async function removeOfferFiles({ directory }: PendingOffer, exceptIn?: string): Promise<void> {
  if (directory !== exceptIn) await rm(directory, { recursive: true, force: true });
}
