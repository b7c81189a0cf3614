/** The range of a metric: a score outside it is refused, and never cut to it. */

import { metricOf, type RewardSettings } from './settings.js';

export interface MetricRange {
  readonly lowest: number;
  readonly highest: number;
}

/** Returns the range of a metric: that of its settings, or else from 0 to 1. */
export function rangeOf(settings: RewardSettings, metric: string): MetricRange {
  const { min, max } = metricOf(settings, metric);
  return { lowest: Math.min(min, max), highest: Math.max(min, max) };
}

export function isInRange(value: number, { lowest, highest }: MetricRange): boolean {
  return value >= lowest && value <= highest;
}

/**
 * Describes what a score of a metric must be, the one that was given, and how to set another range. It stays below 200
 * characters for common names, because longer descriptions are cut on the wire.
 */
export function outsideRange(metric: string, { lowest, highest }: MetricRange, value: number): string {
  return (
    `must be from ${lowest} to ${highest}, the range of the metric ${JSON.stringify(metric)}, got ${value}; ` +
    'to set another range, start the server with --reward-settings (docs/feedback.md)'
  );
}
