/** The buffer of a learner that goes on from a checkpoint: what it held follows from the store, what it did with it from here. */

import type { CheckpointState } from './checkpoint.js';
import { ExperienceBuffer } from './experience/buffer.js';
import type { LearnerSettings, LearnerStart } from './types.js';

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
    since: state?.sequence ?? 0,
    cutoff: state?.cutoff ?? 0,
    ...(reward === undefined ? {} : { reward }),
    ...(now === undefined ? {} : { now }),
  });
}

/** What the log-probabilities under the reference depend on, besides the package and the reference itself. */
export function referencesOf({ engine, device, logProbability }: LearnerSettings): string {
  return `${engine} ${device} ${logProbability}`;
}
