/** The reward settings: range, weight, window and default of each metric, trust of each rater. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';
import { recordOf } from '../record-schema.js';

/** How the scores of one metric count. */
export interface MetricSettings {
  /** The score that is worth 0. It is larger than `max` if smaller scores are better. Default 0. */
  readonly min: number;
  /** The score that is worth 1. Default 1. */
  readonly max: number;
  /** Weight of the metric in the reward; 0 leaves it out. Default 1. */
  readonly weight: number;
  /** Time for scores after the end of the generation, milliseconds. `null`: no limit. Default `null`. */
  readonly windowMs: number | null;
  /** The score, between `min` and `max`, to use if none came within the window. Needs a window. Default `null`: none. */
  readonly default: number | null;
  /** Whether scores that are given or changed after the window count. `ignore` needs a window. Default `use`. */
  readonly late: 'use' | 'ignore';
}

/** Settings of one rater. */
export interface RaterSettings {
  /** Weight of the rater's scores among those on one metric. With 0 they are kept and shown, but never count. Default 1. */
  readonly trust: number;
  /** For a reward model or function of the server: the metric of its scores. Default `score`. */
  readonly metric?: string | undefined;
}

/** Complete settings of the fold from scores to rewards. */
export interface RewardSettings {
  readonly metrics: Readonly<Record<string, MetricSettings>>;
  /** Settings of all other metrics. It has no default score, because the fold must know by name which metrics to expect. */
  readonly defaultMetric: MetricSettings;
  readonly raters: Readonly<Record<string, RaterSettings>>;
  /** Trust of all other raters. Default 1. */
  readonly defaultTrust: number;
}

/** Largest weight and trust, small enough that sums of many never overflow. */
const largestWeight = 1e6;
/** Longest window: a hundred years. */
const longestWindowMs = 100 * 365 * 86_400_000;

const weight = z.number().min(0).max(largestWeight);
const score = z.number().min(-1e100).max(1e100);

const metricSchema = z
  .strictObject({
    min: score.default(0),
    max: score.default(1),
    weight: weight.default(1),
    windowMs: z.int().min(0).max(longestWindowMs).nullable().default(null),
    default: score.nullable().default(null),
    late: z.enum(['use', 'ignore']).default('use'),
  })
  .superRefine((metric, context) => {
    const refuse = (field: keyof MetricSettings, message: string): void => {
      context.addIssue({ code: 'custom', path: [field], message });
    };
    const [low, high] = [Math.min(metric.min, metric.max), Math.max(metric.min, metric.max)];
    if (low === high) refuse('max', 'must differ from min');
    if (metric.default !== null && (metric.default < low || metric.default > high)) {
      refuse('default', `must lie between min and max, ${low} to ${high}`);
    }
    if (metric.windowMs !== null) return;
    if (metric.default !== null)
      refuse('windowMs', 'must be set if there is a default, because it limits the time for a score');
    if (metric.late === 'ignore') refuse('windowMs', 'must be set if late scores are ignored');
  });

const metricName = z.string().min(1).max(64);

const raterSchema = z.strictObject({ trust: weight.default(1), metric: metricName.optional() });

const schema = z.strictObject({
  metrics: recordOf(metricName, metricSchema).default({}),
  defaultMetric: metricSchema.prefault({}).refine((metric) => metric.default === null, {
    path: ['default'],
    error: 'must be null; to give a metric a default, add it by name under metrics',
  }),
  raters: recordOf(z.string().min(1).max(256), raterSchema).default({}),
  defaultTrust: weight.default(1),
});

/**
 * Checks settings and fills in the defaults.
 * @param input as parsed from JSON
 * @throws HoneError `INVALID_OPTIONS` with a violation for each setting at fault, such as `reward.metrics.stars.max`
 */
export function checkRewardSettings(input: unknown = {}): RewardSettings {
  return checkSettings('reward', schema, input);
}

/** The defaults: all metrics and raters count the same, scores go from 0 to 1, and no metric has a window. */
export const defaultRewardSettings: RewardSettings = checkRewardSettings();

/** Returns the settings of a metric: its own, or those of all other metrics. */
export function metricOf(settings: RewardSettings, metric: string): MetricSettings {
  return own(settings.metrics, metric) ?? settings.defaultMetric;
}

export function weightOf(settings: RewardSettings, metric: string): number {
  return metricOf(settings, metric).weight;
}

export function trustOf(settings: RewardSettings, rater: string): number {
  return own(settings.raters, rater)?.trust ?? settings.defaultTrust;
}

/** Returns the metric of the scores of a reward model or function. */
export function metricOfRater(settings: RewardSettings, rater: string): string {
  return own(settings.raters, rater)?.metric ?? 'score';
}

/** Callers choose the names, so a name such as `constructor` must not find a property of every object. */
function own<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
