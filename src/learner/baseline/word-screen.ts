/**
 * Finds, one by one, the tokens whose presence in a prompt shifts the target beyond chance. A ridge over all tokens
 * cannot find them: it spreads such a shift so thinly over all tokens that hundreds of prompts do not show it.
 *
 * A token is selected if t^2 > 2 ln T for T tokens tried: the universal threshold (Donoho and Johnstone 1994). Noise
 * alone passes it in about one search of four; the factor for words in prompt-ridge.ts accounts for that. The column of
 * t is not made orthogonal to the tokens selected before it, so a token is rather left out than selected wrongly.
 */

import { factorize, solve } from './cholesky.js';

const maxWords = 8;
/** Fewest prompts that have a token, and fewest that lack it. */
const minCount = 4;

interface ScreenedWords {
  readonly words: readonly number[];
  /** Number of tokens tried, which the choice of the regression accounts for. */
  readonly tried: number;
}

/**
 * @param tokens of each prompt, distinct
 * @param targets one for each
 */
export function screenWords(tokens: readonly Uint32Array[], targets: ArrayLike<number>): ScreenedWords {
  const n = tokens.length;
  const counts = new Map<number, number>();
  for (const list of tokens) for (const token of list) counts.set(token, (counts.get(token) ?? 0) + 1);
  for (const [token, count] of counts) if (count < minCount || count > n - minCount) counts.delete(token);
  const tried = counts.size;
  const threshold = 2 * Math.log(Math.max(2, tried));
  const words: number[] = [];
  let residual = residualOf(tokens, targets, words);
  while (words.length < Math.min(maxWords, Math.floor(n / 8))) {
    const [word, gain] = bestToken(tokens, residual, counts);
    const left = residual.reduce((sum, r) => sum + r * r, 0) - gain;
    if (gain === 0 || (gain * (n - words.length - 2)) / Math.max(left, Number.MIN_VALUE) <= threshold) break;
    words.push(word);
    counts.delete(word);
    residual = residualOf(tokens, targets, words);
  }
  return { words, tried };
}

/** The token whose presence explains most of the residual, and the sum of squares that it explains. */
function bestToken(
  tokens: readonly Uint32Array[],
  residual: Float64Array,
  counts: ReadonlyMap<number, number>,
): [number, number] {
  const sums = new Map<number, number>();
  for (const [i, list] of tokens.entries()) {
    for (const token of list) {
      if (counts.has(token)) sums.set(token, (sums.get(token) ?? 0) + (residual[i] as number));
    }
  }
  let best: [number, number] = [-1, 0];
  for (const [token, sum] of sums) {
    const count = counts.get(token) as number;
    const gain = sum ** 2 / (count * (1 - count / tokens.length));
    if (gain > best[1]) best = [token, gain];
  }
  return best;
}

/**
 * The residual of the targets after a fit of their mean and the presence of these words (least squares, with a small
 * ridge term in case two words always occur together).
 */
function residualOf(
  tokens: readonly Uint32Array[],
  targets: ArrayLike<number>,
  words: readonly number[],
): Float64Array {
  const size = words.length + 1;
  const rows = tokens.map((list) => [1, ...words.map((word) => (list.includes(word) ? 1 : 0))]);
  const gram = new Float64Array(size * size);
  const right = new Float64Array(size);
  for (const [i, row] of rows.entries()) {
    for (let a = 0; a < size; a++) {
      right[a] = (right[a] as number) + (row[a] as number) * (targets[i] as number);
      for (let b = 0; b < size; b++) {
        gram[a * size + b] = (gram[a * size + b] as number) + (row[a] as number) * (row[b] as number);
      }
    }
  }
  for (let a = 1; a < size; a++) gram[a * size + a] = (gram[a * size + a] as number) + 1e-6 * tokens.length;
  const weights = solve(factorize(gram, size), size, right);
  return Float64Array.from(rows, (row, i) =>
    row.reduce((rest, value, a) => rest - value * (weights[a] as number), targets[i] as number),
  );
}
