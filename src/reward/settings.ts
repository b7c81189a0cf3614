/** How scores become rewards, as the operator says it: ranges, weights, windows and defaults by metric, trust by rater. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';

/** How the scores of one metric count. */
export interface MetricSettings {
  /** The score that is worth 0; larger than `max` where smaller scores are better. Default 0. */
  readonly min: number;
  /** The score that is worth 1. Default 1. */
  readonly max: number;
  /** How much the metric counts beside others; 0 leaves it out. Default 1. */
  readonly weight: number;
  /** How long scores are waited for, milliseconds from the end of the generation; `null`: for ever. Default `null`. */
  readonly windowMs: number | null;
  /** The score, between `min` and `max`, when none came within the window; `null`: none. Needs a window. Default `null`. */
  readonly default: number | null;
  /** Whether scores that come (or change) after the window count. `ignore` needs a window. Default `use`. */
  readonly late: 'use' | 'ignore';
}

/** How much a rater is believed. */
export interface RaterSettings {
  /** Weight of the rater's scores beside those of others on the same metric; 0: kept and shown, never counted. Default 1. */
  readonly trust: number;
  /** Of a reward model or function of the server's: the metric that its scores are kept on. Default `score`. */
  readonly metric?: string | undefined;
}

/** Complete settings of the fold; see {@link checkRewardSettings}. */
export interface RewardSettings {
  readonly metrics: Readonly<Record<string, MetricSettings>>;
  /** Of metrics that are not named. It has no default score: which metrics to wait for must be known by name. */
  readonly defaultMetric: MetricSettings;
  readonly raters: Readonly<Record<string, RaterSettings>>;
  /** Of raters that are not named. Default 1. */
  readonly defaultTrust: number;
}

/** Largest weight and trust: sums of many stay far from what numbers can hold. */
const largestWeight = 1e6;
/** Longest window: a hundred years, in milliseconds. */
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
    if (metric.default !== null) refuse('windowMs', 'must be given beside a default: it says how long to wait');
    if (metric.late === 'ignore') refuse('windowMs', 'must be given where late scores are ignored');
  });

const metricName = z.string().min(1).max(64);

const raterSchema = z.strictObject({ trust: weight.default(1), metric: metricName.optional() });

const schema = z.strictObject({
  metrics: z.record(metricName, metricSchema).default({}),
  defaultMetric: metricSchema.prefault({}).refine((metric) => metric.default === null, {
    path: ['default'],
    error: 'must be null: name the metric below metrics, so that it is known what to wait for',
  }),
  raters: z.record(z.string().min(1).max(256), raterSchema).default({}),
  defaultTrust: weight.default(1),
});

/**
 * Complete, checked settings; what is absent takes its default.
 * @param input as parsed from JSON
 * @throws HoneError `INVALID_OPTIONS` with a violation per setting at fault, such as `reward.metrics.stars.max`
 */
export function checkRewardSettings(input: unknown = {}): RewardSettings {
  return checkSettings('reward', schema, input);
}

/** All metrics and raters alike, scores from 0 to 1, nothing waited for. */
export const defaultRewardSettings: RewardSettings = checkRewardSettings();

/** The settings of a metric, by name or the default ones. */
export function metricOf(settings: RewardSettings, metric: string): MetricSettings {
  return own(settings.metrics, metric) ?? settings.defaultMetric;
}

export function weightOf(settings: RewardSettings, metric: string): number {
  return metricOf(settings, metric).weight;
}

export function trustOf(settings: RewardSettings, rater: string): number {
  return own(settings.raters, rater)?.trust ?? settings.defaultTrust;
}

/** The metric that a reward model's or function's scores are kept on. */
export function metricOfRater(settings: RewardSettings, rater: string): string {
  return own(settings.raters, rater)?.metric ?? 'score';
}

/** Names are the callers' own words: `constructor` is one like any other. */
function own<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
