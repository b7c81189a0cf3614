/**
 * How the scores of one generation become its reward, in three steps:
 *
 * 1. Each score is put on the scale from 0 to 1 by its metric's range, and cut to it.
 * 2. Per metric: the mean over raters, weighted by trust. Where no score came within the window, the metric's default.
 * 3. Over the metrics that have a value: the mean, weighted by the metrics' weights.
 *
 * A metric with a default holds the reward back until it has a score or its window has closed; a metric without one
 * takes part as soon as it has a score. Pure: the same scores, times and settings give the same fold, in any order.
 */

import { type MetricSettings, metricOf, type RewardSettings, trustOf } from './settings.js';

/** The parts of a score that the reward depends on; at most one per rater and metric. */
export interface FoldableScore {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  /** When it was given or last changed, milliseconds since 1970. */
  readonly createdAtMs: number;
}

/** What of the generation the fold depends on. */
export interface FoldContext {
  /** When it ended, milliseconds since 1970: windows begin then. `null` while it runs: no window has begun. */
  readonly finishedAtMs: number | null;
  readonly nowMs: number;
  /**
   * Whether somebody was given it to judge. Where not (an edit, what the server drew for itself), metrics without a
   * score take no default and are not waited for. Default true.
   */
  readonly shown?: boolean;
}

/** Why a score does not count. */
export type IgnoredBecause =
  /** Its rater has no trust. */
  | 'untrusted'
  /** It came or changed after the metric's window. */
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
   * `scored`: by the scores in `used`. `default`: none came in time. `pending`: none yet, and the window is open.
   * `none`: no score counts, and there is no default.
   */
  readonly state: 'scored' | 'default' | 'pending' | 'none';
  /** From 0 to 1; `null` where pending or none. */
  readonly value: number | null;
  readonly weight: number;
  /** When its window closes, milliseconds since 1970; `null` without a window and before the generation has ended. */
  readonly windowEndsAtMs: number | null;
  /** By rater. */
  readonly used: readonly UsedScore[];
  /** By rater. */
  readonly ignored: readonly IgnoredScore[];
}

/** What the scores of a generation fold into, and how. */
export interface Fold {
  /** From 0 to 1; `null`: none yet, or nothing counts. */
  readonly reward: number | null;
  /** When the last window of the pending metrics closes; fold again then. `null` where none is open. */
  readonly pendingUntilMs: number | null;
  /** By name: those with scores and those that are waited for. */
  readonly metrics: readonly MetricFold[];
}

/** The reward of a generation, with the way it came about. Never throws; scores must be finite. */
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
  const range = metricOf(settings, metric);
  const { weight, windowMs, late } = range;
  const windowEndsAtMs = windowMs === null || finishedAtMs === null ? null : finishedAtMs + windowMs;
  const used: UsedScore[] = [];
  const ignored: IgnoredScore[] = [];
  // Sorted, so that sums have the same last bit in whichever order the scores come.
  for (const score of [...scores].sort((a, b) => compare(a.rater, b.rater))) {
    const trust = trustOf(settings, score.rater);
    const isLate = late === 'ignore' && windowEndsAtMs !== null && score.createdAtMs >= windowEndsAtMs;
    const because = weight === 0 ? 'weightless' : trust === 0 ? 'untrusted' : isLate ? 'late' : undefined;
    if (because === undefined) used.push({ ...score, trust, scaled: scale(score.value, range) });
    else ignored.push({ ...score, because });
  }
  const common = { metric, weight, windowEndsAtMs, used, ignored };
  if (used.length > 0) return { ...common, state: 'scored', value: meanByTrust(used) };
  if (weight === 0 || range.default === null || !shown) return { ...common, state: 'none', value: null };
  if (windowEndsAtMs === null || nowMs < windowEndsAtMs) return { ...common, state: 'pending', value: null };
  return { ...common, state: 'default', value: scale(range.default, range) };
}

/** Onto 0 to 1; a range that runs backwards turns the scale round. */
function scale(value: number, { min, max }: MetricSettings): number {
  return clamp((value - min) / (max - min));
}

function meanByTrust(scores: readonly UsedScore[]): number {
  return weightedMean(scores.map(({ scaled, trust }) => [scaled, trust]));
}

function meanOver(metrics: readonly MetricFold[]): number | null {
  if (metrics.some(({ state }) => state === 'pending')) return null;
  const parts = metrics.flatMap(({ value, weight }) => (value === null ? [] : [[value, weight] as const]));
  return parts.length === 0 ? null : weightedMean(parts);
}

/** Of values from 0 to 1, at least one, all with a weight above 0. */
function weightedMean(parts: readonly (readonly [value: number, weight: number])[]): number {
  // Relative to the largest: a product of two small numbers must not vanish.
  const largest = Math.max(...parts.map(([, weight]) => weight));
  let sum = 0;
  let weights = 0;
  for (const [value, weight] of parts) {
    sum += value * (weight / largest);
    weights += weight / largest;
  }
  return clamp(sum / weights);
}

function lastOpenWindow(metrics: readonly MetricFold[]): number | null {
  const ends = metrics.flatMap(({ state, windowEndsAtMs }) =>
    state === 'pending' && windowEndsAtMs !== null ? [windowEndsAtMs] : [],
  );
  return ends.length === 0 ? null : Math.max(...ends);
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** By UTF-16 units, the same everywhere. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
