/** What a generation is worth, and why, in the contract's words. */

import type { ExplainedMetric } from '../../proto/generated/hone/v1/ExplainedMetric.js';
import type { ExplainedScore } from '../../proto/generated/hone/v1/ExplainedScore.js';
import type { ExplainGenerationResponse } from '../../proto/generated/hone/v1/ExplainGenerationResponse.js';
import type { IgnoredBecause as ProtoIgnored } from '../../proto/generated/hone/v1/IgnoredBecause.js';
import type { MetricState } from '../../proto/generated/hone/v1/MetricState.js';
import type { PreferenceOutcome as ProtoOutcome } from '../../proto/generated/hone/v1/PreferenceOutcome.js';
import type { TrainingObstacle } from '../../proto/generated/hone/v1/TrainingObstacle.js';
import type { Explanation, Obstacle } from '../../src/agent/index.js';
import type { PreferenceOutcome } from '../../src/replay/index.js';
import type { IgnoredBecause, MetricFold } from '../../src/reward/index.js';
import { generationOrigins, generationStates } from './stored-generation.js';
import { versionStates } from './versions.js';

export function toProtoExplanation(explanation: Explanation): ExplainGenerationResponse {
  const { generation, fold, preferences, edits, obstacles, lessons } = explanation;
  const { id, state, origin, editOf, version, createdAtMs, finishedAtMs } = generation;
  const { reward, pendingUntilMs } = fold;
  return {
    generationId: id,
    state: generationStates[state],
    origin: generationOrigins[origin],
    editOf: editOf ?? '',
    version,
    createdAtMs,
    ...(finishedAtMs === null ? {} : { finishedAtMs }),
    ...(reward === null ? {} : { reward }),
    ...(pendingUntilMs === null ? {} : { pendingUntilMs }),
    metrics: fold.metrics.map(toProtoMetric),
    preferences: preferences.map(({ otherId, outcome, ...rest }) => ({
      ...rest,
      otherGenerationId: otherId,
      outcome: outcomes[outcome],
    })),
    edits: edits.map(({ generationId, reward: worth }) => ({
      generationId,
      ...(worth === null ? {} : { reward: worth }),
    })),
    obstacles: obstacles.map((obstacle) => obstacleNames[obstacle]),
    lessons: lessons.map((lesson) => ({
      version: lesson.version,
      state: lesson.state === undefined ? 'VERSION_STATE_UNSPECIFIED' : versionStates[lesson.state],
    })),
  };
}

function toProtoMetric({ metric, state, value, weight, windowEndsAtMs, used, ignored }: MetricFold): ExplainedMetric {
  const scores: ExplainedScore[] = [
    ...used.map(({ rater, value: given, createdAtMs, trust, scaled }) => ({
      rater,
      value: given,
      createdAtMs,
      trust,
      scaled,
    })),
    ...ignored.map(({ rater, value: given, createdAtMs, because }) => ({
      rater,
      value: given,
      createdAtMs,
      ignoredBecause: reasons[because],
    })),
  ];
  return {
    metric,
    state: metricStates[state],
    weight,
    scores,
    ...(value === null ? {} : { value }),
    ...(windowEndsAtMs === null ? {} : { windowEndsAtMs }),
  };
}

const metricStates: Readonly<Record<MetricFold['state'], MetricState>> = {
  scored: 'METRIC_STATE_SCORED',
  default: 'METRIC_STATE_DEFAULT',
  pending: 'METRIC_STATE_PENDING',
  none: 'METRIC_STATE_NONE',
};

const reasons: Readonly<Record<IgnoredBecause, ProtoIgnored>> = {
  untrusted: 'IGNORED_BECAUSE_UNTRUSTED',
  late: 'IGNORED_BECAUSE_LATE',
  weightless: 'IGNORED_BECAUSE_WEIGHTLESS',
};

const outcomes: Readonly<Record<PreferenceOutcome, ProtoOutcome>> = {
  better: 'PREFERENCE_OUTCOME_BETTER',
  worse: 'PREFERENCE_OUTCOME_WORSE',
  tie: 'PREFERENCE_OUTCOME_TIE',
};

const obstacleNames: Readonly<Record<Obstacle, TrainingObstacle>> = {
  running: 'TRAINING_OBSTACLE_RUNNING',
  cancelled: 'TRAINING_OBSTACLE_CANCELLED',
  aborted: 'TRAINING_OBSTACLE_ABORTED',
  empty: 'TRAINING_OBSTACLE_EMPTY',
  other_package: 'TRAINING_OBSTACLE_OTHER_PACKAGE',
  stale: 'TRAINING_OBSTACLE_STALE',
  held_out: 'TRAINING_OBSTACLE_HELD_OUT',
  pending: 'TRAINING_OBSTACLE_PENDING',
  no_feedback: 'TRAINING_OBSTACLE_NO_FEEDBACK',
  learner_off: 'TRAINING_OBSTACLE_LEARNER_OFF',
};
