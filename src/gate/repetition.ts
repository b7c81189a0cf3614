/** How much of a completion repeats itself. */

/**
 * Share of the n-grams of a completion that occur in it before, 0 (none) to near 1 (one phrase over and over). Counted
 * over tokens, so that it is the same for every language. 0 for what is shorter than two n-grams.
 */
export function repeatedShare(tokens: readonly number[], n: number): number {
  const count = tokens.length - n + 1;
  if (count < 2) return 0;
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(tokens.slice(i, i + n).join());
  return (count - seen.size) / count;
}
