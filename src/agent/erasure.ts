/**
 * Erases a person's data, and on request what was learned from it.
 *
 * The store's lessons hold which version learned from which generation. A version that descends from such a version
 * learned from the data, too. With `retrain` the newest weights that did not learn from it serve again as a new
 * version, the adapters of all versions that did are removed, and the learner learns from what is left as if for the
 * first time.
 */

import { HoneError } from '../errors.js';
import type { Policy } from '../policy/index.js';
import type { ErasureReport, ReplayStore } from '../replay/index.js';
import { descendants, type Version, type VersionLog } from '../versions/index.js';
import type { EventLog } from './events/event-log.js';
import type { Learner } from './learner.js';
import type { Rollout } from './rollout/rollout.js';

/** What was erased, and what happened to the versions. */
export interface ErasureResult extends Omit<ErasureReport, 'versionsOfAll'> {
  /** Versions that learned from the erased data or descend from such versions, ascending. */
  readonly versions: readonly number[];
  /** With `retrain`: the version that serves now; null if the live version had not learned from erased data. */
  readonly live: Version | null;
  /** With `retrain`: versions whose adapters were removed. */
  readonly removedWeights: readonly number[];
}

export interface ErasureParts {
  readonly replay: ReplayStore;
  readonly policy: Policy;
  readonly versions: VersionLog;
  readonly learner: Learner | null;
  readonly events: EventLog;
  readonly rollout: Pick<Rollout, 'rollback' | 'reject'>;
}

/**
 * @throws HoneError `STORE_FULL`; with `retrain` also what a rollback throws, and then the data is erased all the
 * same
 */
export async function eraseSubject(parts: ErasureParts, subject: string, retrain: boolean): Promise<ErasureResult> {
  const { replay, policy, versions, learner } = parts;
  const { versionsOfAll, ...report } = await replay.eraseSubject(subject);
  await policy.clearPrefixes();
  learner?.erased();
  const affected = descendants(versions.list(), report.versions);
  publishErasure(parts.events, report, affected.length);
  const result = { ...report, versions: affected };
  if (!retrain) return { ...result, live: null, removedWeights: [] };
  return { ...result, ...(await unlearn(parts, versionsOfAll)) };
}

/** Publishes figures only. An event that named the subject would keep what was erased. */
export function publishErasure(events: EventLog, report: Omit<ErasureReport, 'versionsOfAll'>, versions: number): void {
  const { generations, scores, preferences, prompts, logCleared } = report;
  events.publish({
    type: 'subject_erased',
    numbers: { generations, scores, preferences, prompts, versions, log_cleared: logCleared ? 1 : 0 },
    ...(logCleared
      ? {}
      : { detail: 'the log of the store still holds data, because another program reads an old state of the store' }),
  });
}

/** @param roots versions that learned from erased data themselves */
async function unlearn(
  { versions, learner, rollout }: ErasureParts,
  roots: readonly number[],
): Promise<Pick<ErasureResult, 'live' | 'removedWeights'>> {
  if (roots.length === 0) return { live: null, removedWeights: [] };
  let live: Version | null = null;
  // While one version is rejected another may come, or go live, so look again until none is left.
  for (;;) {
    const tainted = new Set(descendants(versions.list(), roots));
    const waiting = versions.list().filter(({ number, state }) => tainted.has(number) && undecided.has(state));
    for (const { number } of waiting) await rejectIfUndecided(rollout, number);
    if (tainted.has(versions.live().number)) live = await rollout.rollback(newestClean(versions, tainted).number);
    else if (waiting.length === 0) break;
  }
  const removedWeights = await versions.removeWeights(descendants(versions.list(), roots));
  learner?.relearn();
  return { live, removedWeights };
}

const undecided: ReadonlySet<Version['state']> = new Set(['candidate', 'shadow', 'canary']);

async function rejectIfUndecided(rollout: ErasureParts['rollout'], number: number): Promise<void> {
  try {
    await rollout.reject(number, 'it learned from data that was erased');
  } catch (thrown) {
    const error = HoneError.from(thrown);
    // It went live or was rejected meanwhile.
    if (error.code !== 'VERSION_NOT_SERVABLE') throw error;
  }
}

function newestClean(versions: VersionLog, tainted: ReadonlySet<number>): Version {
  const { packageDigest } = versions.live();
  const clean = versions
    .list()
    .findLast(
      (version) =>
        version.state === 'retired' &&
        version.weights === 'kept' &&
        version.packageDigest === packageDigest &&
        !tainted.has(version.number),
    );
  if (clean !== undefined) return clean;
  throw new HoneError('INTERNAL', 'no version is left that did not learn from erased data');
}
