/** Folds the preferences of several raters on one pair of completions into one number. */

import type { PreferenceOutcome } from '../replay/index.js';
import { type RewardSettings, trustOf, weightOf } from './settings.js';

/** The parts of a preference that the fold depends on. All must name the same completion of the pair first. */
export interface FoldablePreference {
  readonly rater: string;
  readonly metric: string;
  readonly outcome: PreferenceOutcome;
}

const values: Readonly<Record<PreferenceOutcome, number>> = { better: 1, tie: 0, worse: -1 };

/**
 * Returns how much better the first of the pair is, from -1 (worse for all raters) to 1 (better for all): the mean over
 * raters weighted by trust for each metric, then the mean over metrics weighted by their weights. Windows do not apply,
 * because a late comparison is worth as much as an early one.
 * @returns `null` if no preference counts
 */
export function foldPreferences(preferences: readonly FoldablePreference[], settings: RewardSettings): number | null {
  const metrics = new Map<string, { sum: number; trust: number }>();
  // Sorted, so that the last bit of a sum does not depend on the order of the preferences.
  for (const { rater, metric, outcome } of [...preferences].sort((a, b) => (a.rater < b.rater ? -1 : 1))) {
    const trust = trustOf(settings, rater);
    if (trust === 0 || weightOf(settings, metric) === 0) continue;
    const entry = metrics.get(metric) ?? { sum: 0, trust: 0 };
    entry.sum += trust * values[outcome];
    entry.trust += trust;
    metrics.set(metric, entry);
  }
  let sum = 0;
  let weights = 0;
  for (const [metric, entry] of [...metrics].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const weight = weightOf(settings, metric);
    sum += weight * (entry.sum / entry.trust);
    weights += weight;
  }
  return weights === 0 ? null : sum / weights;
}
