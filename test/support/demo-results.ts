/** Makes results of demos for the tests of the report. */

import { Evaluation } from '../../cli/demo/evaluation.js';
import { type Course, outcomeOf } from '../../cli/demo/outcome.js';
import { type DemoResult, klOf } from '../../cli/demo/report.js';
import type { CheckResult, LearnerStatus, Version } from '../../client/types/index.js';

/** Makes the evaluation of a version whose samples have these scores, by post. */
export function evaluation(version: number, scores: readonly (readonly number[])[]): Evaluation {
  return new Evaluation(
    version,
    scores.map((own, i) => ({
      post: `post ${i} <of> mine`,
      texts: own.map((_, k) => `version ${version} says ${k} & more`),
      scores: own,
      tokens: 30 + (i % 3),
    })),
  );
}

/** Makes the evaluation of a version with 16 samples per post around 0.5, shifted by `better`. */
export function middling(version: number, shift = 0, posts = 16): Evaluation {
  return evaluation(
    version,
    Array.from({ length: posts }, (_, i) =>
      Array.from({ length: 16 }, (_, k) => 0.3 + 0.02 * k + 0.005 * (i % 5) + shift * (1 + 0.1 * (i % 2))),
    ),
  );
}

const learnerStatus: LearnerStatus = {
  state: 'idle',
  steps: 20,
  droppedSteps: 0,
  rounds: 1,
  setbacks: 0,
  scoresSeen: 300,
  lastSequence: 300,
  restarts: 0,
  engine: 'onnx on cpu',
  buffer: { completions: 290, groups: 80, pairs: 0, pending: 0, staleness: [] },
  roundStaleness: [],
};

export const learner = (over: Partial<LearnerStatus> = {}): LearnerStatus => ({ ...learnerStatus, ...over });

export function version(number: number, over: Partial<Version> = {}): Version {
  return {
    lineage: '',
    number,
    adapterDigest: `digest ${number}`,
    packageDigest: 'package',
    state: 'retired',
    origin: number === 0 ? 'base' : 'learned',
    createdAtMs: 0,
    metrics: {},
    verdict: number === 0 ? [] : [klCheck(number)],
    rejectedBecause: '',
    weights: 'kept',
    ...over,
  };
}

export const klCheck = (nats: number, over: Partial<CheckResult> = {}): CheckResult => ({
  check: 'kl',
  outcome: 'passed',
  detail: `${nats} nats per completion from the reference`,
  numbers: { nats, standard_error: 0.1 },
  ...over,
});

/** Makes a course in which one learned version went live and serves. */
export function course(over: Partial<Course> = {}): Course {
  const live = version(1, { state: 'live' });
  return {
    versions: [live, version(0)],
    live,
    learner: learner(),
    judging: undefined,
    events: [],
    scores: 300,
    scoresPerRound: 128,
    ...over,
  };
}

/** Makes a result for the page and the table. */
export function result(happened: Course, before: Evaluation, after?: Evaluation): DemoResult {
  const comparison = { before, ...(after === undefined ? {} : { after }) };
  return {
    ...comparison,
    outcome: outcomeOf(happened, comparison),
    versions: happened.versions,
    kl: klOf(happened.versions, happened.live),
    liveVersion: happened.live.number,
    app: {
      posts: 80,
      generations: 320,
      scores: happened.scores,
      refused: 0,
      cut: 0,
      rewards: Array.from({ length: happened.scores }, (_, i) => ({ version: 0, reward: 0.5 + 0.1 * Math.sin(i) })),
    },
    seconds: 30,
    moments: [100, 4000, 4200, null, null, 3900].map((tokensPerSecond, i) => ({ seconds: i, tokensPerSecond })),
  };
}
