/** Writes the weights in training as a candidate: an adapter's files with their metrics. */

import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { finiteMetrics, writeAdapter } from '../../versions/index.js';
import type { LearnerEvent, LearnerStart } from '../process/messages.js';
import type { TrainingState } from './training-state.js';

export interface CandidateOptions {
  readonly start: Pick<LearnerStart, 'packageDigest' | 'packageDirectory'>;
  readonly training: TrainingState;
  /** Number of the live version. */
  readonly parent: number;
  /** Null and numbers that are not finite are left out. */
  readonly metrics: Readonly<Record<string, number | null>>;
}

/** Name of a candidate's folder. */
export function candidateName(rounds: number, steps: number): string {
  return `${rounds}-${steps}`;
}

/** Removes the candidates of earlier processes but the last one: the server may not have judged that one yet. */
export async function keepNewest(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const place = (name: string): number[] => name.split('-').map(Number);
  names.sort((a, b) => {
    const [[rounds = 0, steps = 0], [otherRounds = 0, otherSteps = 0]] = [place(a), place(b)];
    return rounds - otherRounds || steps - otherSteps;
  });
  for (const name of names.slice(0, -1)) await rm(join(folder, name), { recursive: true, force: true });
}

/** Writes the weights into a folder and replaces what is there; they are on disk when this resolves. */
export async function writeCandidate(
  directory: string,
  { start, training, parent, metrics: figures }: CandidateOptions,
): Promise<Extract<LearnerEvent, { readonly type: 'candidate' }>> {
  const metrics = finiteMetrics(figures);
  // A process that was killed before its checkpoint was written may have left this folder.
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
