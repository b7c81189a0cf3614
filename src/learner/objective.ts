/**
 * Contrastive Policy Gradient (arXiv 2406.19185, section 3) for groups of any size. Equation numbers are those of the
 * README beside this file.
 *
 *     (1)  h_i      = ln pi(y_i|x) - ln pi_ref(y_i|x), summed over the tokens of y_i
 *     (2)  R_beta,i = R_i - beta h_i
 *     (3)  A_i      = R_beta,i - mean_j R_beta,j      among the K completions of a prompt
 *     (4)  A_i      = R_beta,i - V(x)                 for a completion alone (Direct Reward Optimisation, 2405.19107)
 *     (5)  w_i      = A_i K/(K-1)                     leave-one-out;  A_i if alone
 *     (6)  update   = ascent along  mean over P prompts of the mean over K members of  w_i grad ln pi(y_i|x)
 *     (7)  loss     = 1/(2 beta) mean over P prompts of the mean over K(K-1)/2 pairs of (R_beta,i - R_beta,j)^2,
 *                     or of A_i^2 for a completion alone
 *
 * (3), (5) and (6) are the paper's pair loss summed over all pairs of a group, in K passes and not in K(K-1)/2. The
 * mean over members and prompts keeps a prompt with many completions from outweighing the others.
 *
 * The weights are affine in h, so one pass of an engine computes h, the weights and the gradient (`linear-form.ts`). h
 * is the CURRENT policy's, and no gradient flows through the weights.
 */

import type { LinearForm } from './linear-form.js';
import type { Parameters, TrainingEngine, TrainingRow } from './types.js';

/**
 * Completions in groups by prompt, flat: rows of one prompt share a group number; group numbers need not be adjacent.
 */
export interface CopgBatch {
  readonly rows: readonly TrainingRow[];
  /** Group number, per row. */
  readonly groups: ArrayLike<number>;
  /** R, per row: the score of the sequence, in [0, 1] by default. */
  readonly rewards: ArrayLike<number>;
  /** ln pi_ref(y|x), per row: summed over completion tokens. */
  readonly referenceLogprobs: ArrayLike<number>;
  /** V(x), per row: used if the row is alone in its group, ignored in larger groups. */
  readonly values: ArrayLike<number>;
  readonly beta: number;
}

interface CopgFigures {
  /** Equation (7), for reports; without the factor 1/beta if beta is 0. */
  readonly loss: number;
  /** -sum_i w_i ln pi_i / (K P): its gradient with the weights held is the update; its value means little. */
  readonly surrogate: number;
  /** w_i of equation (5), per row. */
  readonly weights: Float32Array;
}

export interface CopgResult extends CopgFigures {
  /** ln pi(y|x), per row. */
  readonly logprobs: Float32Array;
  /** The gradients of the surrogate, by parameter: descend along them. */
  readonly gradients: Map<string, Float32Array>;
}

/** Weights, loss and gradients of a batch, in one pass of the engine. */
export async function differentiateCopg(
  engine: Pick<TrainingEngine, 'differentiate'>,
  batch: CopgBatch,
  parameters: Parameters,
): Promise<CopgResult> {
  const { logprobs, gradients } = await engine.differentiate(batch.rows, copgForm(batch), parameters);
  return { ...copgFigures(batch, logprobs), logprobs, gradients };
}

/**
 * The batch's objective as a linear form, with w_i / (K P) for weights. With c = 1/((K-1) P), or 1/P for a row alone:
 *
 *     b_i  = c (R_i - mean_j R_j)       S_ij = -beta c ([i = j] - 1/K)      i, j of one group
 *     b_i  = c (R_i - V(x))             S_ii = -beta c                      i alone
 */
export function copgForm(batch: Omit<CopgBatch, 'rows'>): LinearForm {
  const { rewards, referenceLogprobs, values, beta } = batch;
  const rows = rewards.length;
  const constants = new Float32Array(rows);
  const slopes = new Float32Array(rows * rows);
  const groups = groupsOf(batch);
  for (const members of groups) {
    const size = members.length;
    const share = 1 / (Math.max(size - 1, 1) * groups.length);
    const alone = size === 1;
    const baseline = alone ? (values[members[0] as number] as number) : mean(members.map((i) => rewards[i] as number));
    for (const i of members) {
      constants[i] = share * ((rewards[i] as number) - baseline);
      for (const j of members) slopes[i * rows + j] = -beta * share * ((i === j ? 1 : 0) - (alone ? 0 : 1 / size));
    }
  }
  return { constants, dependence: { slopes, referenceLogprobs } };
}

/**
 * Weights and loss of a batch under a policy.
 * @param logprobs ln pi(y|x) of each row
 */
function copgFigures(batch: Omit<CopgBatch, 'rows'>, logprobs: ArrayLike<number>): CopgFigures {
  const { rewards, referenceLogprobs, values, beta } = batch;
  const groups = groupsOf(batch);
  const weights = new Float32Array(logprobs.length);
  let loss = 0;
  let surrogate = 0;
  for (const members of groups) {
    const size = members.length;
    const alone = size === 1;
    // (1), (2)
    const residuals = members.map((i) => {
      const h = (logprobs[i] as number) - (referenceLogprobs[i] as number);
      return (rewards[i] as number) - beta * h;
    });
    const baseline = alone ? (values[members[0] as number] as number) : mean(residuals);
    for (const [k, i] of members.entries()) {
      // (3), (4), (5)
      const advantage = (residuals[k] as number) - baseline;
      const weight = alone ? advantage : (advantage * size) / (size - 1);
      weights[i] = weight;
      surrogate -= (weight * (logprobs[i] as number)) / (size * groups.length);
      // (7): the sum over pairs is K sum_i A_i^2, and there are K(K-1)/2 of them.
      loss += (alone ? advantage ** 2 : (2 * advantage ** 2) / (size - 1)) / groups.length;
    }
  }
  return { loss: beta > 0 ? loss / (2 * beta) : loss / 2, surrogate, weights };
}

/** The rows of each group. */
function groupsOf({ groups, rewards }: Pick<CopgBatch, 'groups' | 'rewards'>): number[][] {
  const members = new Map<number, number[]>();
  for (let i = 0; i < rewards.length; i++) {
    const group = groups[i] as number;
    const list = members.get(group);
    if (list) list.push(i);
    else members.set(group, [i]);
  }
  return [...members.values()];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
