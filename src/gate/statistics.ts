/** Means with their standard errors, and the one rule by which the gate calls something worse. */

/** A mean over independent units and how far it may be off by chance. */
export interface Estimate {
  readonly mean: number;
  /** Infinite with fewer than two values: then everything may be chance. */
  readonly standardError: number;
  readonly count: number;
}

/** Mean and standard error of independent values; the mean of none is NaN. */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = sum(values) / count;
  if (count < 2) return { mean, standardError: Number.POSITIVE_INFINITY, count };
  const squares = sum(values.map((value) => (value - mean) ** 2));
  return { mean, standardError: Math.sqrt(squares / (count - 1) / count), count };
}

/** Whether a difference lies above zero by more than so many of its standard errors. */
export function beyondChance({ mean, standardError }: Estimate, standardErrors: number): boolean {
  return mean > 0 && mean > standardErrors * standardError;
}

/**
 * The sum, whatever the order of the values: they are added from the smallest on. In another order the last digits would
 * differ, and a threshold that is just met could be missed.
 */
export function sum(values: Iterable<number>): number {
  return Float64Array.from(values)
    .sort()
    .reduce((total, value) => total + value, 0);
}

/** The mean of none is NaN. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** Figures without those that are not finite: a record of them must survive JSON. */
export function finiteFigures(figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)));
}
