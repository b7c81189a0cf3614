/** Measures how much of a completion repeats itself. */

/**
 * Returns the share of a completion's n-grams that occurred in it before, from 0 (none) to nearly 1 (one phrase all the
 * time). It counts tokens, so that the measure suits every language. A completion with fewer than two n-grams has 0.
 */
export function repeatedShare(tokens: readonly number[], n: number): number {
  const count = tokens.length - n + 1;
  if (count < 2) return 0;
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(tokens.slice(i, i + n).join());
  return (count - seen.size) / count;
}
