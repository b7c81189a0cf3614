/** What the learner offered while nobody was free for it: only the last one is kept, for it holds all that the others held. */

import { rm } from 'node:fs/promises';
import type { LearnerEvent } from '../../learner/index.js';

/** A trained adapter, as the learner offers it. */
export type CandidateEvent = Extract<LearnerEvent, { readonly type: 'candidate' }>;

export class PendingOffer {
  #newest: CandidateEvent | null = null;

  /** Lets one wait, from now on, in the place of the one before, whose files go. */
  async put(candidate: CandidateEvent): Promise<void> {
    const before = this.take();
    this.#newest = candidate;
    await removeFiles(before, candidate.directory);
  }

  /** The one that waits, which waits no longer. */
  take(): CandidateEvent | null {
    const candidate = this.#newest;
    this.#newest = null;
    return candidate;
  }

  async drop(): Promise<void> {
    await removeFiles(this.take());
  }
}

/** @param kept a directory that is in use: a learner that was killed may write the same one again */
async function removeFiles(candidate: CandidateEvent | null, kept?: string): Promise<void> {
  if (candidate === null || candidate.directory === kept) return;
  await rm(candidate.directory, { recursive: true, force: true });
}
