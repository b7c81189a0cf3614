/** Means with standard errors, and the rule by which the demo tells a difference from chance. */

/** A mean over posts with its standard error. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
}

/** Standard errors by which a difference must exceed zero. With 8 posts or more, chance does so in 2 to 4 of 100 runs. */
const beyond = 2;

/** Returns mean and standard error of at least two independent values. */
export function estimate(values: readonly number[]): Estimate {
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return { mean: center, standardError: Math.sqrt(squares / (values.length - 1) / values.length) };
}

/** Whether the mean is above zero by more than chance. */
export function isAboveChance({ mean, standardError }: Estimate): boolean {
  return mean > beyond * standardError;
}

/**
 * Returns the share of a distance that was covered: the sum of the steps over the sum of the distances (one of each for
 * a post), with the linearised standard error of this ratio. Undefined if the distance is within chance.
 */
export function shareCovered(steps: readonly number[], distances: readonly number[]): Estimate | undefined {
  const distance = estimate(distances);
  if (!isAboveChance(distance)) return undefined;
  const share = mean(steps) / distance.mean;
  const rest = steps.map((step, i) => (step - share * (distances[i] ?? Number.NaN)) / distance.mean);
  return { mean: share, standardError: estimate(rest).standardError };
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Formats as `0.861 ± 0.007`. */
export function formatEstimate({ mean, standardError }: Estimate, decimals: number): string {
  return `${mean.toFixed(decimals)} ± ${standardError.toFixed(decimals)}`;
}
