/** Weights on their way to be a version: an adapter's files, and what is said of them. */

import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { finiteMetrics, writeAdapter } from '../../versions/index.js';
import type { LearnerEvent, LearnerStart } from '../process/messages.js';
import type { TrainingState } from './training-state.js';

export interface CandidateOptions {
  readonly start: Pick<LearnerStart, 'packageDigest' | 'packageDirectory'>;
  readonly training: TrainingState;
  /** The version that is live. */
  readonly parent: number;
  /** Those that are not finite, or not known, are left out. */
  readonly metrics: Readonly<Record<string, number | null>>;
}

/** Name of a candidate's directory: candidates of later rounds come later. */
export function candidateName(rounds: number, steps: number): string {
  return `${rounds}-${steps}`;
}

/** Removes candidates of earlier processes, but for the last one: the server may hold it until somebody is free to judge it. */
export async function keepNewest(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const place = (name: string): number[] => name.split('-').map(Number);
  names.sort((a, b) => {
    const [[rounds = 0, steps = 0], [otherRounds = 0, otherSteps = 0]] = [place(a), place(b)];
    return rounds - otherRounds || steps - otherSteps;
  });
  for (const name of names.slice(0, -1)) await rm(join(folder, name), { recursive: true, force: true });
}

/** Writes the weights as they are into a directory, in the place of what is there; on disk when it resolves. */
export async function writeCandidate(
  directory: string,
  { start, training, parent, metrics: figures }: CandidateOptions,
): Promise<Extract<LearnerEvent, { readonly type: 'candidate' }>> {
  const metrics = finiteMetrics(figures);
  // From a process that was killed before the checkpoint said so.
  await rm(directory, { recursive: true, force: true });
  const adapterDigest = await writeAdapter(directory, training.adapter(), {
    packageDigest: start.packageDigest,
    baseModel: basename(start.packageDirectory),
    parent,
    createdAtMs: Date.now(),
    metrics,
  });
  return { type: 'candidate', directory, adapterDigest, parent, metrics, lessons: training.lessons.all() };
}
