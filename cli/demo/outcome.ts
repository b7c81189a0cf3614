/** Decides whether the demo's model learned and, if it did not, finds likely reasons. */

import type { HoneEvent, LearnerStatus, Version } from '../../client/index.js';
import type { Evaluation } from './evaluation.js';
import { type Estimate, estimate, formatEstimate, isAboveChance, shareCovered } from './statistics.js';

/**
 * `learned`: the last version's reward is above the first's by more than chance. `worse`: it is below by more than chance.
 * `no_gain`: the difference is within chance. `no_version`: the first version still serves.
 */
export type OutcomeKind = 'learned' | 'no_gain' | 'worse' | 'no_version';

/** The events of a run and the state at its end. */
export interface Course {
  /** All versions, of any state. */
  readonly versions: readonly Version[];
  readonly live: Version;
  readonly learner: LearnerStatus;
  /** The candidate that was not judged yet at the end. */
  readonly judging: number | undefined;
  /** Events that report trouble: restarts, setbacks, starvation, a store that refused writes. */
  readonly events: readonly HoneEvent[];
  /** Number of scores that the users gave. */
  readonly scores: number;
  /** Number of new scores with which the learner starts a round. */
  readonly scoresPerRound: number;
}

/** The measurements of the first and the last version. */
export interface Comparison {
  readonly before: Evaluation;
  /** Absent if the first version still serves. */
  readonly after?: Evaluation;
}

export interface Outcome {
  readonly kind: OutcomeKind;
  /** The outcome in one sentence. */
  readonly headline: string;
  /** Likely reasons; empty if the model learned. */
  readonly reasons: readonly Reason[];
  /** Reward of the last version minus that of the first; absent if the first version still serves. */
  readonly gain?: Estimate;
  /** The gain as a share of the distance from the first version to its best of 16; absent without a gain. */
  readonly gapClosed?: Estimate;
}

/** A likely reason why nothing was learned. */
export interface Reason {
  readonly what: string;
  readonly remedy: string;
}

/** Decides the outcome of a run. */
export function outcomeOf(course: Course, { before, after }: Comparison): Outcome {
  const flat = flatJudge(before);
  if (after === undefined) {
    const headline = 'Nothing was learned: the first version still serves.';
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
    : `No measurable gain: version ${after.version} went live, but ${change} is within the noise.`;
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
      what: `the judge gave ${scores[0]} to each of ${scores.length} completions of the first version, so better and worse ones look the same`,
      remedy: 'use a judge that gives different scores to completions of one post',
    },
  ];
}

function whyNoVersion(course: Course): Reason[] {
  const reasons = [...notEnoughScores(course), ...trouble(course), ...refusals(course), ...undecided(course)];
  if (reasons.length > 0) return reasons;
  return [
    {
      what: `the learner made no candidate; it is ${course.learner.state} after ${course.learner.rounds} rounds and ${course.learner.steps} steps`,
      remedy: 'give it more scores (--scores)',
    },
  ];
}

function notEnoughScores({ learner, scores, scoresPerRound }: Course): Reason[] {
  const { completions } = learner.buffer;
  if (learner.steps > 0 || completions >= scoresPerRound) return [];
  return [
    {
      what: `the learner starts a round after ${scoresPerRound} new scores; ${scores} were given, and it may train on ${completions} of them (some prompts are held out)`,
      remedy: `give at least ${2 * scoresPerRound} scores (--scores)`,
    },
  ];
}

/** Reports trouble with the learner or the store: the last event of each kind, with a count. */
function trouble({ events, learner }: Course): Reason[] {
  const reasons: Reason[] = [];
  const tell = (type: HoneEvent['type'], name: string, remedy: string): void => {
    const own = events.filter((event) => event.type === type);
    const last = own.at(-1);
    if (last !== undefined) reasons.push({ what: `${name}${times(own.length)}: ${last.detail}`, remedy });
  };
  if (learner.haltedBecause !== undefined) {
    reasons.push({
      what: `the learner stopped itself: ${learner.haltedBecause}`,
      remedy: 'see "When training goes out of bounds" in docs/learning.md',
    });
  } else
    tell('learner_setback', 'a round went out of bounds', 'see "When training goes out of bounds" in docs/learning.md');
  tell('worker_restarted', 'a part of the server crashed and was started again', 'look for the cause in its message');
  tell('store_failed', 'the store refused writes', 'make room on the disk of --data');
  tell(
    'learner_starved',
    'the learner got too little processor time',
    'stop other programs that use the processor, or give the learner more time with more scores (--scores)',
  );
  tell(
    'gate_starved',
    'the gate got too little of the policy to judge in time',
    'stop other programs that use the processor, or give fewer scores at once',
  );
  if (learner.state === 'training') {
    reasons.push({
      what: `the learner was still training when the demo stopped waiting for it: ${learner.steps} steps${learner.stepMs === undefined ? '' : `, the last took ${(learner.stepMs / 1000).toFixed(1)} s`}`,
      remedy: 'stop other programs that use the processor, and try again',
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
      what: `the live version was rolled back${times(back.length)}`,
      remedy: 'see "When training goes out of bounds" in docs/learning.md',
    });
  }
  return reasons;
}

function undecided({ versions, judging }: Course): Reason[] {
  if (judging !== undefined) {
    return [
      {
        what: `the gate had not judged version ${judging} when the demo stopped waiting for it; the gate's own completions give way to all other requests`,
        remedy: 'stop other programs that use the processor, and try again',
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
    what: `${scores} scores led to ${live === 1 ? 'one version' : `${live} versions`} that went live; on this number of posts, a small gain is within the noise`,
    remedy: 'give more scores (--scores), or compare on more posts (--posts)',
  };
}

function worseThanBefore(version: number): Reason {
  return {
    what: `version ${version} passed the gate, which checks divergence, length and repetition but does not ask this judge`,
    remedy:
      'check that the judge rewards what you want, and that larger scores are better; give more scores (--scores)',
  };
}

/** Whether a learned version serves or has served. */
export function wentLive({ origin, state }: Version): boolean {
  return origin === 'learned' && (state === 'live' || state === 'retired');
}
