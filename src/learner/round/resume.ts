/**
 * What a learner goes on from: its checkpoint, and its buffer. The buffer follows from the store and from what the
 * checkpoint knows of each completion.
 */

import { rename } from 'node:fs/promises';
import { HoneError } from '../../errors.js';
import { type BufferOptions, ExperienceBuffer } from '../experience/buffer.js';
import { generationsOf } from '../experience/entries.js';
import type { LearnerStart } from '../process/messages.js';
import type { LearnerSettings } from '../types.js';
import { type Checkpoint, type CheckpointState, readCheckpoint } from './checkpoint.js';
import type { Round } from './round.js';
import type { TrainingState } from './training-state.js';

/** Everything that the checkpoint of a learner holds at this moment. */
export function checkpointOf(
  { packageDigest, settings }: LearnerStart,
  training: TrainingState,
  buffer: ExperienceBuffer,
  round: Round,
  reportedUpTo: number,
): Checkpoint {
  const { state, ...tensors } = training.state();
  return {
    ...tensors,
    state: {
      ...state,
      ...round.state(),
      packageDigest,
      sequence: buffer.ledger.since,
      readSequence: buffer.sequence,
      reportedUpTo,
      cutoff: buffer.ledger.cutoff,
      givenBack: buffer.ledger.givenBack(),
      references: [...buffer.references(training.reference.digest)],
      referencesOf: referencesOf(settings),
      uses: [...buffer.uses()],
      pending: buffer.pending.ids(),
    },
  };
}

/**
 * An empty buffer that is to read the store from its first change.
 * @param state of the checkpoint, if there is one
 */
export function openBuffer(
  { packageDigest, decoder, settings, reward }: LearnerStart,
  { now, setAside, holds }: Pick<BufferOptions, 'now' | 'setAside' | 'holds'>,
  state?: CheckpointState,
): ExperienceBuffer {
  const references = state?.referencesOf === referencesOf(settings) ? state.references : [];
  return new ExperienceBuffer({
    packageDigest,
    decoder,
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
    ...(setAside === undefined ? {} : { setAside }),
    ...(holds === undefined ? {} : { holds }),
  });
}

/** The state of a checkpoint whose weights were given up: their lessons count as unused. */
export function withoutLessons(state: CheckpointState): CheckpointState {
  const lessons = new Set(state.lessons?.flatMap(({ generationIds }) => generationIds));
  const kept = state.uses.filter(([entry]) => !generationsOf(entry).some((id) => lessons.has(id)));
  return { ...state, uses: kept };
}

/** What log-probabilities under the reference depend on, besides the package and the reference itself. */
function referencesOf({ engine, device, logProbability }: LearnerSettings): string {
  return `${engine} ${device} ${logProbability}`;
}

/** The name under which the checkpoint from before the open round is kept. */
export function beforeRoundName(path: string): string {
  return `${path}.before-round`;
}

/** The name that a checkpoint gets if it cannot be read. */
export function damagedName(path: string): string {
  return `${path}.damaged`;
}

/**
 * The checkpoint to go on from, if there is one of this package. A damaged one is renamed, and so is one that has read
 * more than the store has: an older copy has replaced the store, and its new changes would count as read.
 * @param lastSequence of the store
 * @param onDamaged called with what is wrong with it
 */
export async function findCheckpoint(
  path: string,
  packageDigest: string,
  lastSequence: number,
  onDamaged: (error: { readonly code: string; readonly message: string }) => void,
): Promise<Checkpoint | undefined> {
  try {
    const checkpoint = await readCheckpoint(path);
    const { readSequence = 0, sequence = 0 } = checkpoint?.state ?? {};
    if (Math.max(readSequence, sequence) > lastSequence) {
      throw new HoneError(
        'STATE_LOST',
        `the learner's checkpoint ${path} has read the store up to change ${Math.max(readSequence, sequence)}, but the store ends with change ${lastSequence}: it is an older copy, or a new one`,
      );
    }
    return checkpoint?.state.packageDigest === packageDigest ? checkpoint : undefined;
  } catch (thrown) {
    const { code, message } = HoneError.from(thrown);
    await rename(path, damagedName(path));
    onDamaged({ code, message: `${message}; it was put aside, training goes on from the live version` });
    return undefined;
  }
}
