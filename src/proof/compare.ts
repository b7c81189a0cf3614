/** Compares answers of Hone's graphs with the logits of the file. */

import type { Comparison } from './proof.js';

/** What a graph says about one token of a sequence. */
export interface TokenAnswer {
  readonly token: number;
  readonly logprob: number;
  readonly likeliest: number;
}

/** The logarithm of the sum of the exponentials of the logits. */
export function logSumExp(logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > largest) largest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Compares token by token. @param logits of the file, by token */
export function compareTokens(
  answers: readonly TokenAnswer[],
  logits: readonly Float32Array[],
  tolerance: number,
): Comparison {
  let difference = 0;
  let otherTokens = 0;
  for (const [i, { token, logprob, likeliest }] of answers.entries()) {
    const row = logits[i] as Float32Array;
    const norm = logSumExp(row);
    difference = larger(difference, Math.abs(logprob - ((row[token] as number) - norm)));
    let best = Number.NEGATIVE_INFINITY;
    for (const value of row) if (value > best) best = value;
    // Not a number is never near.
    if (!(best - (row[likeliest] as number) <= tolerance)) otherTokens += 1;
  }
  return { difference, tolerance, otherTokens, tokens: answers.length };
}

/** Compares the log-probabilities of whole completions. */
export function compareSums(
  sums: ArrayLike<number>,
  expected: readonly number[],
  tokensPerSum: number,
  tolerance: number,
): Comparison {
  let difference = 0;
  for (const [i, sum] of expected.entries()) {
    difference = larger(difference, Math.abs((sums[i] as number) - sum) / tokensPerSum);
  }
  return { difference, tolerance, otherTokens: 0, tokens: expected.length * tokensPerSum };
}

/** Not a number is larger than everything. */
const larger = (a: number, b: number): number => (b > a || Number.isNaN(b) ? b : a);

/** Whether a comparison is within its tolerance. */
export function isEqual({ difference, otherTokens, tolerance }: Comparison): boolean {
  return difference <= tolerance && otherTokens === 0;
}
