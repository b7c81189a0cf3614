/** Turns the explanation of a generation's reward into a message of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { ExplainedMetric } from '../../proto/generated/hone/v1/ExplainedMetric.js';
import type { ExplainedScore } from '../../proto/generated/hone/v1/ExplainedScore.js';
import type { ExplainGenerationResponse } from '../../proto/generated/hone/v1/ExplainGenerationResponse.js';
import type { Explanation } from '../../src/agent/index.js';
import type { MetricFold } from '../../src/reward/index.js';

export function toProtoExplanation(explanation: Explanation): ExplainGenerationResponse {
  const { generation, fold, preferences, edits, obstacles, lessons } = explanation;
  const { id, state, origin, editOf, version, createdAtMs, finishedAtMs } = generation;
  const { reward, pendingUntilMs } = fold;
  return {
    generationId: id,
    state: enumNames.GenerationState.toValue(state),
    origin: enumNames.GenerationOrigin.toValue(origin),
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
      outcome: enumNames.PreferenceOutcome.toValue(outcome),
    })),
    edits: edits.map(({ generationId, reward: worth }) => ({
      generationId,
      ...(worth === null ? {} : { reward: worth }),
    })),
    obstacles: obstacles.map((obstacle) => enumNames.TrainingObstacle.toValue(obstacle)),
    lessons: lessons.map((lesson) => ({
      version: lesson.version,
      ...(lesson.state === undefined ? {} : { state: enumNames.VersionState.toValue(lesson.state) }),
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
      ignoredBecause: enumNames.IgnoredBecause.toValue(because),
    })),
  ];
  return {
    metric,
    state: enumNames.MetricState.toValue(state),
    weight,
    scores,
    ...(value === null ? {} : { value }),
    ...(windowEndsAtMs === null ? {} : { windowEndsAtMs }),
  };
}
