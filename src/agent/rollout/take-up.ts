/**
 * Puts the candidates of an earlier run back on their way when the server starts.
 *
 * The version on trial goes on with its trial. What the gate refused is rejected: that run was killed between the
 * verdict and the rejection. What was not judged is judged, unless the store does not know what the version was learned
 * from: an erasure could not find such a version. Either that run was killed before it had stored the lessons, or the
 * store is not the one of that run, or has removed them since. Its adapter stays, because nothing is wrong with it. The
 * newest version that passed and had no place yet goes the way of the mode.
 */

import { describeVerdict, type Verdict } from '../../gate/index.js';
import type { Version, VersionLog } from '../../versions/index.js';
import type { Mode } from './modes.js';

/** What taking up asks of the rollout. */
export interface TakeUpSteps {
  /** Goes on with the trial of a version. */
  readonly resume: (version: Version) => Promise<void>;
  /** Ends the trial undecided and lets the version go the way of the present mode. */
  readonly changeTrial: (version: Version) => Promise<void>;
  /** Lets an unjudged version wait for the gate. */
  readonly wait: (version: Version) => Promise<void>;
  /** Lets a version that has passed go the way of the mode, unless another one is on trial. */
  readonly admit: (version: Version) => Promise<void>;
  readonly reject: (version: Version, reason: string) => Promise<void>;
  /** Whether it is known what a version was learned from, or it was not learned here. */
  readonly isTraced: (version: Version) => Promise<boolean>;
  /** Called with the version whose step failed. The others are taken up all the same. */
  readonly onFailed: (version: Version, thrown: unknown) => void;
}

export async function takeUp(versions: VersionLog, mode: Mode, steps: TakeUpSteps): Promise<void> {
  const { packageDigest } = versions.live();
  const ours = versions.list().filter((version) => version.packageDigest === packageDigest);
  const each = async (candidates: readonly Version[], step: (version: Version) => Promise<void>) => {
    for (const version of candidates) await step(version).catch((thrown) => steps.onFailed(version, thrown));
  };

  const onTrial = ours.filter(({ state }) => state === 'shadow' || state === 'canary');
  await each(onTrial.slice(0, -1), (version) =>
    steps.reject(version, `version ${onTrial.at(-1)?.number} is on trial, too, and newer`),
  );
  await each(onTrial.slice(-1), (version) => {
    const live = versions.live().number;
    if (live > version.number) return steps.reject(version, `version ${live} went live while it was on trial`);
    return mode === version.state ? steps.resume(version) : steps.changeTrial(version);
  });

  const candidates = ours.filter(({ state, origin }) => state === 'candidate' && origin !== 'rollback');
  // Rejected first: a candidate that waits would be taken for one that was trained on from a refused one.
  await each(candidates.filter(isRefused), (version) => steps.reject(version, describeVerdict(verdictOf(version))));
  await each(candidates.filter(isUnjudged), async (version) => {
    if (await steps.isTraced(version)) return steps.wait(version);
    await steps.reject(version, 'the store does not know what it was learned from');
  });
  const passed = candidates.filter((version) => !isUnjudged(version) && !isRefused(version)).slice(-1);
  await each(
    passed.filter(({ number }) => number > versions.live().number),
    steps.admit,
  );
}

function isUnjudged({ verdict }: Version): boolean {
  return verdict.length === 0;
}

function isRefused({ verdict }: Version): boolean {
  return verdict.some(({ outcome }) => outcome === 'failed');
}

function verdictOf({ verdict }: Version): Verdict {
  return { passed: false, checks: verdict as Verdict['checks'] };
}
