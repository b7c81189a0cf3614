/** What the demo came to: whether something was learned, and where it was not, as far as it can be known, why. */

import type { HoneEvent, LearnerStatus, Version } from '../../client/index.js';
import type { Evaluation } from './evaluation.js';
import { type Estimate, estimate, formatEstimate, isAboveChance, shareCovered } from './statistics.js';

/**
 * `learned`: a version went live and its reward is higher than that of the first, beyond chance. `no_gain`: one went live
 * that cannot be told from the first; `worse`: its reward is lower beyond chance; `no_version`: none serves.
 */
export type OutcomeKind = 'learned' | 'no_gain' | 'worse' | 'no_version';

/** What happened between the first request and the last measurement. */
export interface Course {
  /** All there are. */
  readonly versions: readonly Version[];
  readonly live: Version;
  readonly learner: LearnerStatus;
  /** The candidate that was still being judged, or waited to be, at the end. */
  readonly judging: number | undefined;
  /** Trouble: restarts, setbacks, starvation, a store that refused writes. */
  readonly events: readonly HoneEvent[];
  /** That were given. */
  readonly scores: number;
  /** That make a round of the learner. */
  readonly scoresPerRound: number;
}

/** What was measured of the two versions. */
export interface Comparison {
  readonly before: Evaluation;
  /** Of the version that serves in the end; absent where that is the first. */
  readonly after?: Evaluation;
}

export interface Outcome {
  readonly kind: OutcomeKind;
  /** In a sentence. */
  readonly headline: string;
  /** Where nothing was learned: why, as far as is known, and what to try. */
  readonly reasons: readonly Reason[];
  /** Reward of the last version minus that of the first; absent where no other version serves. */
  readonly gain?: Estimate;
  /** Of the way from the first version to the best of 16 of its samples; absent where nothing was gained. */
  readonly gapClosed?: Estimate;
}

export interface Reason {
  readonly what: string;
  readonly remedy: string;
}

/** Says what came of it. */
export function outcomeOf(course: Course, { before, after }: Comparison): Outcome {
  const flat = flatJudge(before);
  if (after === undefined) {
    const headline = 'Nothing was learned: no version that was learned serves.';
    return { kind: 'no_version', headline, reasons: [...flat, ...whyNoVersion(course)] };
  }
  const gain = estimate(minus(after.rewards(), before.rewards()));
  const change = `${gain.mean < 0 ? '' : '+'}${formatEstimate(gain, 3)}`;
  if (isAboveChance(gain)) {
    const gapClosed = shareCovered(
      minus(after.rewards(), before.rewards()),
      minus(before.bestOf(16), before.rewards()),
    );
    const headline = `Learned: version ${after.version} scores ${change} on posts that it never trained on.`;
    return { kind: 'learned', headline, reasons: [], gain, ...(gapClosed === undefined ? {} : { gapClosed }) };
  }
  const worse = isAboveChance({ ...gain, mean: -gain.mean });
  const headline = worse
    ? `Version ${after.version} went live and is worse than the first: ${change}.`
    : `Nothing was learned that shows: version ${after.version} went live, and ${change} is within the noise.`;
  const reasons = [...flat, ...trouble(course), worse ? worseThanBefore(after.version) : tooLittle(course)];
  return { kind: worse ? 'worse' : 'no_gain', headline, reasons, gain };
}

function minus(minuends: readonly number[], subtrahends: readonly number[]): number[] {
  return minuends.map((value, i) => value - (subtrahends[i] ?? Number.NaN));
}

function flatJudge(before: Evaluation): Reason[] {
  const scores = before.answers.flatMap((one) => one.scores);
  if (Math.max(...scores) - Math.min(...scores) > 1e-9) return [];
  return [
    {
      what: `the judge gave ${scores[0]} to each of ${scores.length} completions of the first version: nothing tells better from worse`,
      remedy: 'use a judge that tells completions of one post apart',
    },
  ];
}

function whyNoVersion(course: Course): Reason[] {
  const reasons = [...notEnoughScores(course), ...trouble(course), ...refusals(course), ...undecided(course)];
  if (reasons.length > 0) return reasons;
  return [
    {
      what: `the learner made no candidate: it is ${course.learner.state} after ${course.learner.rounds} rounds and ${course.learner.steps} steps`,
      remedy: 'give it more scores (--scores)',
    },
  ];
}

function notEnoughScores({ learner, scores, scoresPerRound }: Course): Reason[] {
  const { completions } = learner.buffer;
  if (learner.steps > 0 || completions >= scoresPerRound) return [];
  return [
    {
      what: `a round of the learner begins with ${scoresPerRound} new scores; ${scores} were given, and ${completions} of them may train (some prompts are held out)`,
      remedy: `give at least ${2 * scoresPerRound} (--scores)`,
    },
  ];
}

/** What went wrong with the learner or the store; the last of each kind stands for the others. */
function trouble({ events, learner }: Course): Reason[] {
  const reasons: Reason[] = [];
  const tell = (type: HoneEvent['type'], name: string, remedy: string): void => {
    const own = events.filter((event) => event.type === type);
    const last = own.at(-1);
    if (last !== undefined) reasons.push({ what: `${name}${times(own.length)}: ${last.detail}`, remedy });
  };
  if (learner.haltedBecause !== undefined) {
    reasons.push({
      what: `the learner has stopped itself: ${learner.haltedBecause}`,
      remedy: 'see "When training goes out of bounds" in docs/learning.md',
    });
  } else
    tell('learner_setback', 'a round went out of bounds', 'see "When training goes out of bounds" in docs/learning.md');
  tell('worker_restarted', 'a part of the server crashed and was started again', 'see what it says of the reason');
  tell('store_failed', 'the store refused writes', 'make room on the disk of --data');
  tell(
    'learner_starved',
    'the learner starved',
    'end what else uses the processor, or give it more time with more scores (--scores)',
  );
  if (learner.state === 'training') {
    reasons.push({
      what: `the learner was still training when the wait for it was over: ${learner.steps} steps${learner.stepMs === undefined ? '' : `, the last took ${(learner.stepMs / 1000).toFixed(1)} s`}`,
      remedy: 'end what else uses the processor, and try again',
    });
  }
  return reasons;
}

const times = (count: number): string => (count === 1 ? '' : ` (${count} times)`);

function refusals({ versions }: Course): Reason[] {
  const learned = versions.filter(({ origin }) => origin === 'learned');
  const rejected = learned.filter(({ state, verdict }) => state === 'rejected' && verdict.length > 0);
  const byReason = new Map<string, Version[]>();
  for (const version of rejected) {
    const failed = version.verdict.filter(({ outcome }) => outcome === 'failed').map(({ check }) => check);
    const key = failed.length === 0 ? version.rejectedBecause : failed.join(' and ');
    byReason.set(key, [...(byReason.get(key) ?? []), version]);
  }
  const reasons = [...byReason.values()].map((group): Reason => {
    const last = group.reduce((a, b) => (a.number > b.number ? a : b));
    return {
      what: `the gate refused ${group.length} of ${learned.length} candidates; version ${last.number}: ${last.rejectedBecause}`,
      remedy: 'see the thresholds in docs/gate.md; a larger beta or a smaller learning rate moves less per round',
    };
  });
  const back = versions.filter(({ origin }) => origin === 'rollback');
  if (back.length > 0) {
    reasons.push({
      what: `what went live was rolled back${times(back.length)}`,
      remedy: 'see "When training goes out of bounds" in docs/learning.md',
    });
  }
  return reasons;
}

function undecided({ versions, judging }: Course): Reason[] {
  if (judging !== undefined) {
    return [
      {
        what: `version ${judging} was still at the gate when the wait for it was over; its own completions give way to everybody`,
        remedy: 'end what else uses the processor, and try again',
      },
    ];
  }
  const unjudged = versions.filter(
    ({ origin, state, verdict }) => origin === 'learned' && state === 'rejected' && verdict.length === 0,
  );
  return unjudged.map(({ number, rejectedBecause }) => ({
    what: `version ${number} was not judged: ${rejectedBecause}`,
    remedy: 'try again',
  }));
}

function tooLittle({ versions, scores }: Course): Reason {
  const live = versions.filter(wentLive).length;
  return {
    what: `${scores} scores made ${live === 1 ? 'one version' : `${live} versions`} that went live; a small gain does not show on so few posts`,
    remedy: 'give more scores (--scores), or compare on more posts (--posts)',
  };
}

function worseThanBefore(version: number): Reason {
  return {
    what: `version ${version} passed the gate, which looks at divergence, length and repetition, and not at this judge`,
    remedy:
      'see that the judge rewards what you mean, and that its scores are not turned round; give more scores (--scores)',
  };
}

/** Whether a learned version serves or has served. */
export function wentLive({ origin, state }: Version): boolean {
  return origin === 'learned' && (state === 'live' || state === 'retired');
}
