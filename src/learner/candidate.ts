/** Weights on their way to be a version: an adapter's files, and what is said of them. */

import { basename } from 'node:path';
import { finiteMetrics, writeAdapter } from '../versions/index.js';
import type { Trainee } from './trainee.js';
import type { LearnerEvent, LearnerStart } from './types.js';

export interface CandidateOptions {
  readonly start: Pick<LearnerStart, 'packageDigest' | 'packageDirectory'>;
  readonly trainee: Trainee;
  /** The version that is live. */
  readonly parent: number;
  /** Those that are not finite, or not known, are left out. */
  readonly metrics: Readonly<Record<string, number | null>>;
}

/** Writes the weights as they are into a new directory; on disk when it resolves. */
export async function writeCandidate(
  directory: string,
  { start, trainee, parent, metrics: figures }: CandidateOptions,
): Promise<Extract<LearnerEvent, { readonly type: 'candidate' }>> {
  const metrics = finiteMetrics(figures);
  const adapterDigest = await writeAdapter(directory, trainee.adapter(), {
    packageDigest: start.packageDigest,
    baseModel: basename(start.packageDirectory),
    parent,
    createdAtMs: Date.now(),
    metrics,
  });
  return { type: 'candidate', directory, adapterDigest, parent, metrics, lessons: trainee.lessons.all() };
}
