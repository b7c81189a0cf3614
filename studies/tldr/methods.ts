/**
 * CoPG and the methods that the paper compares it with, as gradients of one batch of pairs on the learner's engine.
 * Each loss is scaled to the size of CoPG's, with the factor 1/(2 beta) and the mean over the members of a pair: Adam
 * does not depend on the scale, but the bound on the gradient's norm does.
 *
 * With h = ln pi - ln pi_ref and dh = h(preferred) - h(other), the weight of ln pi(preferred), times two, is:
 *
 *     copg       R - R' - beta dh           minimise 1/(2 beta) (R_beta - R_beta')^2         arXiv 2406.19185
 *     ipo        1/2 - beta dh              minimise 1/(2 beta) (1/2 - beta dh)^2            arXiv 2310.12036
 *     dpo        sigmoid(-beta dh)          minimise -1/beta ln sigmoid(beta dh)             arXiv 2305.18290
 *     pg         R_beta                     policy gradient on the data as if the policy had sampled it, no baseline
 *     pg_value   R_beta - V                 the same with a value V
 */

import {
  type CopgBatch,
  differentiateCopg,
  type Parameters,
  type TrainingEngine,
  type TrainingRow,
} from '../../src/learner/index.js';

const methodNames = ['copg', 'ipo', 'dpo', 'pg', 'pg_value'] as const;
export type Method = (typeof methodNames)[number];

/** Completions 2i and 2i + 1 are the pair i. */
export interface PairBatch {
  readonly rows: readonly TrainingRow[];
  /** Per row. */
  readonly rewards: readonly number[];
  /** Per pair: whether the first of the two is preferred. Only `ipo` and `dpo` read it; they read no rewards. */
  readonly firstPreferred: readonly boolean[];
  /** Per row: ln pi_ref. */
  readonly referenceLogprobs: readonly number[];
  /** V of `pg_value`, one for all rows. */
  readonly value?: number;
  readonly beta: number;
}

interface MethodStep {
  readonly gradients: Map<string, Float32Array>;
  /** Per row: ln pi under the parameters before the step. */
  readonly logprobs: Float32Array;
}

/**
 * Gradients of a method on a batch. CoPG and IPO use the learner's objective; the others need h first for their
 * weights.
 */
export async function methodStep(
  method: Method,
  engine: TrainingEngine,
  batch: PairBatch,
  parameters: Parameters,
): Promise<MethodStep> {
  if (method === 'copg' || method === 'ipo') return differentiateCopg(engine, asCopgBatch(method, batch), parameters);
  const logprobs = await engine.logProbabilities(batch.rows, parameters);
  const h = Array.from(logprobs, (logprob, i) => logprob - (batch.referenceLogprobs[i] as number));
  return engine.differentiate(batch.rows, { constants: methodWeights(method, batch, h) }, parameters);
}

/** The batch for CoPG; IPO is CoPG on the rewards +1/4 and -1/4. */
function asCopgBatch(method: 'copg' | 'ipo', batch: PairBatch): CopgBatch {
  const { rows, firstPreferred, referenceLogprobs, beta } = batch;
  const rewards =
    method === 'copg' ? batch.rewards : rows.map((_, i) => (firstPreferred[i >> 1] === (i % 2 === 0) ? 0.25 : -0.25));
  return { rows, groups: rows.map((_, i) => i >> 1), rewards, referenceLogprobs, values: rows.map(() => 0), beta };
}

/** Per row: the weight w in the gradient of -sum w ln pi, for a given h. */
export function methodWeights(method: Method, batch: PairBatch, h: readonly number[]): number[] {
  const { beta, rewards, firstPreferred, value = 0 } = batch;
  const rows = h.length;
  const regularised = h.map((one, i) => (rewards[i] as number) - beta * one);
  return h.map((one, i) => {
    const sibling = i ^ 1;
    const sign = firstPreferred[i >> 1] === (i % 2 === 0) ? 1 : -1;
    const dh = sign * (one - (h[sibling] as number));
    const weights: Record<Method, () => number> = {
      copg: () => (regularised[i] as number) - (regularised[sibling] as number),
      ipo: () => sign * (0.5 - beta * dh),
      dpo: () => sign / (1 + Math.exp(beta * dh)),
      pg: () => regularised[i] as number,
      pg_value: () => (regularised[i] as number) - value,
    };
    // The mean over all rows: over pairs, and over the two rows of each.
    return weights[method]() / rows;
  });
}
