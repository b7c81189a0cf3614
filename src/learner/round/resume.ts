/** What a learner goes on from: the checkpoint, and the buffer, which follows from the store and from what the checkpoint says was done with it. */

import { rename } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { ExperienceBuffer } from '../experience/buffer.js';
import { generationsOf } from '../experience/entries.js';
import type { LearnerStart } from '../process/messages.js';
import type { LearnerSettings } from '../types.js';
import { type Checkpoint, type CheckpointState, readCheckpoint } from './checkpoint.js';

/**
 * @param now milliseconds since 1970, for the windows of metrics; default `Date.now`
 * @param state of the checkpoint, where there is one
 */
export function openBuffer(
  { packageDigest, settings, reward }: LearnerStart,
  now?: () => number,
  state?: CheckpointState,
): ExperienceBuffer {
  const references = state?.referencesOf === referencesOf(settings) ? state.references : [];
  return new ExperienceBuffer({
    packageDigest,
    holdoutShare: settings.holdoutShare,
    maxStaleness: settings.maxStaleness,
    restored: {
      uses: new Map(state?.uses),
      references: new Map(references),
      referenceDigest: state?.reference?.digest ?? '',
      ...(state?.readSequence === undefined ? {} : { upTo: state.readSequence }),
    },
    givenBack: state?.givenBack ?? [],
    pending: state?.pending ?? [],
    since: state?.sequence ?? 0,
    cutoff: state?.cutoff ?? 0,
    ...(reward === undefined ? {} : { reward }),
    ...(now === undefined ? {} : { now }),
  });
}

/** Where the weights of a checkpoint are given up: what it was learned from on top of the live version counts as unused. */
export function withoutLessons(state: CheckpointState): CheckpointState {
  const lessons = new Set(state.lessons?.flatMap(({ generationIds }) => generationIds));
  const kept = state.uses.filter(([entry]) => !generationsOf(entry).some((id) => lessons.has(id)));
  return { ...state, uses: kept };
}

/** What the log-probabilities under the reference depend on, besides the package and the reference itself. */
export function referencesOf({ engine, device, logProbability }: LearnerSettings): string {
  return `${engine} ${device} ${logProbability}`;
}

/** Where a checkpoint that cannot be read is put. */
export function damagedName(path: string): string {
  return `${path}.damaged`;
}

/**
 * The checkpoint to go on from, where there is one of this package. A damaged one is put aside.
 * @param onDamaged told what is wrong with it
 */
export async function findCheckpoint(
  path: string,
  packageDigest: string,
  onDamaged: (error: { readonly code: string; readonly message: string }) => void,
): Promise<Checkpoint | undefined> {
  try {
    const checkpoint = await readCheckpoint(path);
    return checkpoint?.state.packageDigest === packageDigest ? checkpoint : undefined;
  } catch (thrown) {
    const { code, message } = HoneError.from(thrown);
    await rename(path, damagedName(path));
    onDamaged({ code, message: `${message}; it was put aside, training goes on from the live version` });
    return undefined;
  }
}
