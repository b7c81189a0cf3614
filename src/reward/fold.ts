/**
 * How the scores of one generation become its reward: the mean over raters for each metric, then the weighted mean over
 * the metrics, then the range. Raters count alike; a metric that nobody scored takes no part.
 */

/** The parts of a score that the reward depends on. */
export interface FoldableScore {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
}

export interface RewardSettings {
  /** Weight by metric; a negative one makes a penalty of the metric, zero leaves it out. */
  readonly weights: Readonly<Record<string, number>>;
  /** Weight of metrics that are not listed. */
  readonly defaultWeight: number;
  /** The reward is clamped to this range; beta is chosen for it. */
  readonly minimum: number;
  readonly maximum: number;
}

/** All metrics alike, rewards in [0, 1]. */
export const defaultRewardSettings: RewardSettings = { weights: {}, defaultWeight: 1, minimum: 0, maximum: 1 };

/**
 * The reward of a generation, or null when none of its scores has weight.
 * @param scores one per rater and metric, as the store keeps them
 */
export function foldReward(
  scores: readonly FoldableScore[],
  settings: RewardSettings = defaultRewardSettings,
): number | null {
  const metrics = new Map<string, { sum: number; count: number }>();
  for (const { metric, value } of scores) {
    const entry = metrics.get(metric) ?? { sum: 0, count: 0 };
    entry.sum += value;
    entry.count += 1;
    metrics.set(metric, entry);
  }
  let total = 0;
  let weights = 0;
  for (const [metric, { sum, count }] of metrics) {
    const weight = Object.hasOwn(settings.weights, metric)
      ? (settings.weights[metric] as number)
      : settings.defaultWeight;
    total += weight * (sum / count);
    weights += Math.abs(weight);
  }
  // Sums of numbers near the largest there is may be infinite; of two that cancel nothing is left to learn from.
  if (weights === 0 || Number.isNaN(total)) return null;
  return Math.min(settings.maximum, Math.max(settings.minimum, total / weights));
}
