/**
 * Folds the scores of one generation into its reward, in three steps:
 *
 * 1. The range of its metric maps each score to the scale from 0 to 1. A score outside the range does not count: it was
 *    stored under other settings, because feedback outside the range is refused.
 * 2. The value of a metric is the mean over its raters, weighted by trust. If no score came within the window, the value
 *    is the metric's default.
 * 3. The reward is the mean over the metrics that have a value, weighted by the metrics' weights.
 *
 * A metric with a default holds the reward back until it has a score or its window has closed. A metric without one takes
 * part as soon as it has a score. The function is pure: the same scores, times and settings give the same fold, whatever
 * the order of the scores.
 */

import { isInRange, rangeOf } from './range.js';
import { type MetricSettings, metricOf, type RewardSettings, trustOf } from './settings.js';

/** The parts of a score that the reward depends on; at most one per rater and metric. */
export interface FoldableScore {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  /** When it was given or last changed, milliseconds since 1970. */
  readonly createdAtMs: number;
}

/** The facts about the generation on which the fold depends. */
export interface FoldContext {
  /** When it ended, milliseconds since 1970. Windows begin then. `null` while it runs. */
  readonly finishedAtMs: number | null;
  readonly nowMs: number;
  /**
   * Whether a caller saw it. If not (an edit, or a completion that the server drew for itself), a metric without a score
   * takes no default and holds nothing back. Default true.
   */
  readonly shown?: boolean;
}

/** Why a score does not count. */
export type IgnoredBecause =
  /** Its rater has no trust. */
  | 'untrusted'
  /** It lies outside the range of its metric: it was stored when the metric had another range. */
  | 'out_of_range'
  /** It was given or changed after the metric's window. */
  | 'late'
  /** Its metric has no weight. */
  | 'weightless';

/** A score that counts. */
export interface UsedScore extends FoldableScore {
  readonly trust: number;
  /** On the scale from 0 to 1. */
  readonly scaled: number;
}

export interface IgnoredScore extends FoldableScore {
  readonly because: IgnoredBecause;
}

/** One metric's part in the reward. */
export interface MetricFold {
  readonly metric: string;
  /**
   * `scored`: the scores in `used` give the value. `default`: no score came in time. `pending`: there is no score yet, and
   * the window is open. `none`: no score counts, and there is no default.
   */
  readonly state: 'scored' | 'default' | 'pending' | 'none';
  /** From 0 to 1; `null` in the states `pending` and `none`. */
  readonly value: number | null;
  readonly weight: number;
  /** When its window closes, milliseconds since 1970; `null` without a window and before the generation has ended. */
  readonly windowEndsAtMs: number | null;
  /** Sorted by rater. */
  readonly used: readonly UsedScore[];
  /** Sorted by rater. */
  readonly ignored: readonly IgnoredScore[];
}

/** The reward of a generation, and how it came about. */
export interface Fold {
  /** From 0 to 1; `null` if a metric is pending or no score counts. */
  readonly reward: number | null;
  /** When the last window of the pending metrics closes; fold again then. `null` if no window is open. */
  readonly pendingUntilMs: number | null;
  /** Sorted by name: the metrics with scores, and those that have a default. */
  readonly metrics: readonly MetricFold[];
}

/** Folds scores into a reward. Scores must be finite; the function never throws. */
export function foldReward(scores: readonly FoldableScore[], context: FoldContext, settings: RewardSettings): Fold {
  const byMetric = new Map<string, FoldableScore[]>();
  for (const [metric, { default: fallback }] of Object.entries(settings.metrics)) {
    if (fallback !== null && context.shown !== false) byMetric.set(metric, []);
  }
  for (const score of scores) {
    const list = byMetric.get(score.metric);
    if (list === undefined) byMetric.set(score.metric, [score]);
    else list.push(score);
  }
  const metrics = [...byMetric]
    .sort(([a], [b]) => compare(a, b))
    .map(([metric, list]) => foldMetric(metric, list, context, settings));
  return { reward: meanOver(metrics), pendingUntilMs: lastOpenWindow(metrics), metrics };
}

function foldMetric(
  metric: string,
  scores: readonly FoldableScore[],
  { finishedAtMs, nowMs, shown = true }: FoldContext,
  settings: RewardSettings,
): MetricFold {
  const own = metricOf(settings, metric);
  const range = rangeOf(settings, metric);
  const { weight, windowMs, late } = own;
  const windowEndsAtMs = windowMs === null || finishedAtMs === null ? null : finishedAtMs + windowMs;
  const used: UsedScore[] = [];
  const ignored: IgnoredScore[] = [];
  // Sorted, so that the last bit of a sum does not depend on the order of the scores.
  for (const score of [...scores].sort((a, b) => compare(a.rater, b.rater))) {
    const trust = trustOf(settings, score.rater);
    const isLate = late === 'ignore' && windowEndsAtMs !== null && score.createdAtMs >= windowEndsAtMs;
    const because =
      weight === 0
        ? 'weightless'
        : trust === 0
          ? 'untrusted'
          : !isInRange(score.value, range)
            ? 'out_of_range'
            : isLate
              ? 'late'
              : undefined;
    if (because === undefined) used.push({ ...score, trust, scaled: scale(score.value, own) });
    else ignored.push({ ...score, because });
  }
  const common = { metric, weight, windowEndsAtMs, used, ignored };
  if (used.length > 0) return { ...common, state: 'scored', value: meanByTrust(used) };
  if (weight === 0 || own.default === null || !shown) return { ...common, state: 'none', value: null };
  if (windowEndsAtMs === null || nowMs < windowEndsAtMs) return { ...common, state: 'pending', value: null };
  return { ...common, state: 'default', value: scale(own.default, own) };
}

/** Maps a value in the range to 0 to 1. If `min` is larger than `max`, smaller scores are better. */
function scale(value: number, { min, max }: MetricSettings): number {
  return withoutRounding((value - min) / (max - min));
}

function meanByTrust(scores: readonly UsedScore[]): number {
  return weightedMean(scores.map(({ scaled, trust }) => [scaled, trust]));
}

function meanOver(metrics: readonly MetricFold[]): number | null {
  if (metrics.some(({ state }) => state === 'pending')) return null;
  const parts = metrics.flatMap(({ value, weight }) => (value === null ? [] : [[value, weight] as const]));
  return parts.length === 0 ? null : weightedMean(parts);
}

/** The mean of one or more values from 0 to 1, all with a weight above 0. */
function weightedMean(parts: readonly (readonly [value: number, weight: number])[]): number {
  // Weights relative to the largest keep the product of two small numbers from vanishing.
  const largest = Math.max(...parts.map(([, weight]) => weight));
  let sum = 0;
  let weights = 0;
  for (const [value, weight] of parts) {
    sum += value * (weight / largest);
    weights += weight / largest;
  }
  return withoutRounding(sum / weights);
}

function lastOpenWindow(metrics: readonly MetricFold[]): number | null {
  const ends = metrics.flatMap(({ state, windowEndsAtMs }) =>
    state === 'pending' && windowEndsAtMs !== null ? [windowEndsAtMs] : [],
  );
  return ends.length === 0 ? null : Math.max(...ends);
}

/** Takes back what rounding adds beyond 0 or 1. */
function withoutRounding(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Compares UTF-16 units, which gives the same order on every system. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
