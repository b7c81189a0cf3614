/** Statistics of repeated measurements. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Returns the largest value minus the smallest, as a share of the median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/** Returns the value that a share of all values does not exceed, such as `percentile(values, 0.99)`. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number;
}

/** Returns the seconds of the fastest of `repeats` runs, after a warm-up. */
export async function fastestSeconds(repeats: number, run: () => Promise<unknown>): Promise<number> {
  await run();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < repeats; i++) {
    const started = performance.now();
    await run();
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  return best;
}

/** Rounds to a number of significant digits. The default suits measurements that vary by some percent. */
export function significant(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** A mean of independent values with its standard error. */
export interface Estimate {
  readonly mean: number;
  /** Sample standard deviation divided by the root of the count; null for a single value. */
  readonly standardError: number | null;
  readonly count: number;
}

/** @param values at least one */
export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardError: count > 1 ? Math.sqrt(squares / (count - 1) / count) : null, count };
}
