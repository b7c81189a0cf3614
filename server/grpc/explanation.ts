/** Turns the explanation of a generation's reward into a message of the contract. */

import { enumNames } from '../../proto/enum-names.js';
import type { ExplainedMetric } from '../../proto/generated/hone/v1/ExplainedMetric.js';
import type { ExplainedScore } from '../../proto/generated/hone/v1/ExplainedScore.js';
import type { ExplainGenerationResponse } from '../../proto/generated/hone/v1/ExplainGenerationResponse.js';
import type { Explanation } from '../../src/agent/index.js';
import type { MetricFold } from '../../src/reward/index.js';
import { newest } from './answer-size.js';

/** Preferences in one answer; the newest ones. */
const maxListed = 1000;

/** Scores of all metrics together in one answer, and metrics. */
const maxScores = 2000;
const maxMetrics = 200;

export function toProtoExplanation(explanation: Explanation): ExplainGenerationResponse {
  const { generation, fold, preferences, edits, editCount, obstacles, setAsideBecause = '', lessons } = explanation;
  const { id, state, origin, editOf, version, createdAtMs, finishedAtMs } = generation;
  const { reward, pendingUntilMs } = fold;
  const { metrics, unlisted } = listMetrics(fold.metrics);
  const unlistedPreferences = Math.max(0, preferences.length - maxListed);
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
    metrics,
    preferences: newest(preferences, maxListed).map(({ otherId, outcome, ...rest }) => ({
      ...rest,
      otherGenerationId: otherId,
      outcome: enumNames.PreferenceOutcome.toValue(outcome),
    })),
    edits: edits.map(({ generationId, reward: worth }) => ({
      generationId,
      ...(worth === null ? {} : { reward: worth }),
    })),
    obstacles: obstacles.map((obstacle) => enumNames.TrainingObstacle.toValue(obstacle)),
    setAsideBecause,
    lessons: lessons.map((lesson) => ({
      version: lesson.version,
      ...(lesson.state === undefined ? {} : { state: enumNames.VersionState.toValue(lesson.state) }),
    })),
    leftOut: unlisted + unlistedPreferences + (editCount - edits.length),
  };
}

/** The metrics with as many scores as fit, and the number of scores that do not. */
function listMetrics(folds: readonly MetricFold[]): { readonly metrics: ExplainedMetric[]; readonly unlisted: number } {
  let room = maxScores;
  let unlisted = 0;
  const metrics = folds.map(toProtoMetric).map((metric, index) => {
    const { scores = [] } = metric;
    const listed = index < maxMetrics ? scores.slice(0, room) : [];
    room -= listed.length;
    unlisted += scores.length - listed.length;
    return { ...metric, scores: listed };
  });
  return { metrics: metrics.slice(0, maxMetrics), unlisted };
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
