/**
 * Sampling written straight from the definitions in docs/serving.md: whole lists, sorts and cumulative sums in float64.
 * It is slow and shares no code with the sampler.
 */

import type { SamplingSettings } from '../../src/policy/completion-request.js';

/** Computes the softmax in float64. */
export function softmax(logits: readonly number[]): number[] {
  const maximum = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - maximum));
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

/** Returns the probability with which each token is drawn after this prompt and completion. */
export function referenceDistribution(
  logits: ArrayLike<number>,
  settings: SamplingSettings,
  prompt: readonly number[],
  completion: readonly number[],
): number[] {
  const scores = Array.from(logits, (logit, token) => logit + (settings.logitBias[token] ?? 0));
  for (const token of new Set([...prompt, ...completion])) {
    const score = scores[token] as number;
    scores[token] = score > 0 ? score / settings.repetitionPenalty : score * settings.repetitionPenalty;
  }
  for (const token of new Set(completion)) {
    const count = completion.filter((other) => other === token).length;
    scores[token] = (scores[token] as number) - settings.presencePenalty - settings.frequencyPenalty * count;
  }
  if (settings.temperature === 0) {
    const best = scores.indexOf(Math.max(...scores));
    return scores.map((_, token) => (token === best ? 1 : 0));
  }
  let probabilities = softmax(scores.map((score) => score / settings.temperature));
  const ranked = scores.map((_, token) => token).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const keep = (tokens: Iterable<number>): void => {
    const kept = new Set(tokens);
    const total = sum(probabilities.filter((_, token) => kept.has(token)));
    probabilities = probabilities.map((p, token) => (kept.has(token) ? p / total : 0));
  };
  if (settings.topK > 0) keep(ranked.slice(0, settings.topK));
  if (settings.topP < 1)
    keep(
      ranked.slice(
        0,
        nucleusSize(
          ranked.map((token) => probabilities[token] as number),
          settings.topP,
        ),
      ),
    );
  const floor = settings.minP * Math.max(...probabilities);
  keep(ranked.filter((token) => (probabilities[token] as number) >= floor));
  return probabilities;
}

/** Returns the number of ranked probabilities whose sum reaches `p`. */
function nucleusSize(ranked: readonly number[], p: number): number {
  let cumulative = 0;
  for (const [i, probability] of ranked.entries()) {
    cumulative += probability;
    if (cumulative >= p) return i + 1;
  }
  return ranked.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * Returns the distance of counts from the counts that probabilities predict: Pearson's chi-square as a standard normal
 * deviate (Wilson and Hilferty). Tokens that are expected fewer than five times count as one token.
 */
export function chiSquareDeviate(counts: readonly number[], probabilities: readonly number[]): number {
  const draws = sum(counts);
  const cells: [number, number][] = [];
  let [rareCount, rareExpected] = [0, 0];
  for (const [token, p] of probabilities.entries()) {
    const [count, expected] = [counts[token] as number, p * draws];
    if (expected >= 5) cells.push([count, expected]);
    else [rareCount, rareExpected] = [rareCount + count, rareExpected + expected];
  }
  if (rareExpected >= 5) cells.push([rareCount, rareExpected]);
  const degrees = cells.length - 1;
  if (degrees < 1) return 0;
  const chiSquare = sum(cells.map(([count, expected]) => (count - expected) ** 2 / expected));
  const spread = 2 / (9 * degrees);
  return ((chiSquare / degrees) ** (1 / 3) - (1 - spread)) / Math.sqrt(spread);
}
