/** Means with their standard errors, and the rule by which the gate decides that a difference is not chance. */

/** A mean over independent values, with its standard error. */
export interface Estimate {
  readonly mean: number;
  /** Infinite with fewer than two values, because then every difference may be chance. */
  readonly standardError: number;
  readonly count: number;
}

/** Mean and standard error of independent values. The mean of no values is NaN. */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = sum(values) / count;
  if (count < 2) return { mean, standardError: Number.POSITIVE_INFINITY, count };
  const squares = sum(values.map((value) => (value - mean) ** 2));
  return { mean, standardError: Math.sqrt(squares / (count - 1) / count), count };
}

/** Whether a difference is above zero by more than `standardErrors` of its standard errors. */
export function beyondChance({ mean, standardError }: Estimate, standardErrors: number): boolean {
  return mean > 0 && mean > standardErrors * standardError;
}

/**
 * Adds the values from the smallest on, so that the sum does not depend on their order. Otherwise the last digits could
 * differ, and a threshold that is just met could be missed.
 */
export function sum(values: Iterable<number>): number {
  return Float64Array.from(values)
    .sort()
    .reduce((total, value) => total + value, 0);
}

/** The mean of no values is NaN. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** Leaves out figures that are not finite, because JSON cannot hold them. */
export function finiteFigures(figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)));
}
