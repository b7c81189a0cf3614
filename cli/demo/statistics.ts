/** Means of the demo with their standard errors: a figure is shown where it says more than chance. */

/** A mean over posts and how far it may be off by chance. */
export interface Estimate {
  readonly mean: number;
  readonly standardError: number;
}

/** Standard errors that a difference must have to count: chance alone has it in 2 to 4 of 100 runs, from 8 posts on. */
const beyond = 2;

/** Mean and standard error of independent values, of which there must be two at least. */
export function estimate(values: readonly number[]): Estimate {
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return { mean: center, standardError: Math.sqrt(squares / (values.length - 1) / values.length) };
}

/** Whether it lies above zero by more than chance gives. */
export function isAboveChance({ mean, standardError }: Estimate): boolean {
  return mean > beyond * standardError;
}

/**
 * Which share of a distance was covered: sum of the steps over sum of the distances, post by post, with the standard error
 * of such a ratio (linearised). Undefined where the distance itself is not beyond chance.
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

/** As text: `0.861 ± 0.007`. */
export function formatEstimate({ mean, standardError }: Estimate, decimals: number): string {
  return `${mean.toFixed(decimals)} ± ${standardError.toFixed(decimals)}`;
}
