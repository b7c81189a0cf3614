/**
 * Contrastive Policy Gradient (arXiv 2406.19185) as graph nodes, for groups of any size.
 *
 * With h_i = ln pi(y_i|x) - ln pi_ref(y_i|x) summed over tokens and R_beta,i = R_i - beta h_i, the pair loss of the paper
 * (section 3), summed over all pairs of a group of K, has the gradient  -sum_i A_i grad ln pi(y_i)  up to the factor of
 * the pairs, with A_i = R_beta,i - mean_j R_beta,j. A completion weighs A_i K/(K-1) (leave-one-out); members are averaged
 * per prompt and prompts are averaged, so that a prompt with many completions does not outweigh the others.
 * A single completion has V(x) in place of its siblings' mean (Direct Reward Optimisation, arXiv 2405.19107).
 *
 * The weight is detached and h in it is the CURRENT policy's. One linear form covers groups, singles and the second pass
 * of micro-batches (given weights: beta = 0, no group mean, reward = weight):
 *
 *     A = R_beta - M R_beta - b;   surrogate = -sum_i c_i stop(A_i) ln pi(y_i)
 */

import { addDetach } from '../autodiff/index.js';
import type { Graph } from '../onnx/index.js';
import { tokenLogprobs } from './engine/training-graph.js';
import type { CopgBatch } from './types.js';

/**
 * Adds the CoPG surrogate. Inputs: `row_of_token` [R, N] (1 where the token belongs to the row), `reference_logprobs`,
 * `rewards`, `baselines`, `coefficients` [R], `group_mean` [R, R], `beta` scalar.
 * Values: `surrogate` (scalar), `row_logprobs` [R], `advantages` [R].
 */
export function addCopgObjective(graph: Graph): void {
  graph.inputs.set('row_of_token', { type: 'float32', dims: ['R', 'N'] });
  for (const name of ['reference_logprobs', 'rewards', 'baselines', 'coefficients']) {
    graph.inputs.set(name, { type: 'float32', dims: ['R'] });
  }
  graph.inputs.set('group_mean', { type: 'float32', dims: ['R', 'R'] });
  graph.inputs.set('beta', { type: 'float32', dims: [] });
  addRowLogprobs(graph);
  const h = graph.add('Sub', ['row_logprobs', 'reference_logprobs']);
  const residual = graph.add('Sub', ['rewards', graph.add('Mul', ['beta', h])]);
  const column = graph.add('Unsqueeze', [residual, graph.int64([1])]);
  const mean = graph.add('Squeeze', [graph.add('MatMul', ['group_mean', column]), graph.int64([1])]);
  graph.add('Sub', [graph.add('Sub', [residual, mean]), 'baselines'], { outputs: ['advantages'] });
  const weights = graph.add('Mul', ['coefficients', addDetach(graph, 'advantages')]);
  const total = graph.add('ReduceSum', [graph.add('Mul', [weights, 'row_logprobs'])], {
    attributes: { keepdims: { i: 0 } },
  });
  graph.add('Neg', [total], { outputs: ['surrogate'] });
}

/** Adds `row_logprobs` [R]: the sums of each row's token log-probabilities. Reads the input `row_of_token`. */
export function addRowLogprobs(graph: Graph): void {
  graph.inputs.set('row_of_token', { type: 'float32', dims: ['R', 'N'] });
  const column = graph.add('Unsqueeze', [tokenLogprobs, graph.int64([1])]);
  graph.add('Squeeze', [graph.add('MatMul', ['row_of_token', column]), graph.int64([1])], {
    outputs: ['row_logprobs'],
  });
}

/** Adds `cross_entropy`, a scalar: -sum of `token_weights` [N] times the token log-probabilities. */
export function addCrossEntropy(graph: Graph): void {
  graph.inputs.set('token_weights', { type: 'float32', dims: ['N'] });
  const total = graph.add('ReduceSum', [graph.add('Mul', ['token_weights', tokenLogprobs])], {
    attributes: { keepdims: { i: 0 } },
  });
  graph.add('Neg', [total], { outputs: ['cross_entropy'] });
}

/** The linear form of a batch: group-mean matrix [R, R], baselines [R], coefficients [R], group sizes [R]. */
export interface LinearForm {
  readonly groupMean: Float32Array;
  readonly baselines: Float32Array;
  readonly coefficients: Float32Array;
  readonly groupSizes: Int32Array;
}

/** Who is compared with whom: siblings where there are any, V(x) where a completion is alone. */
export function linearForm(batch: Pick<CopgBatch, 'groups' | 'values'>): LinearForm {
  const { groups, values } = batch;
  const rows = groups.length;
  const members = new Map<number, number[]>();
  for (let i = 0; i < rows; i++) {
    const group = groups[i] as number;
    const list = members.get(group);
    if (list) list.push(i);
    else members.set(group, [i]);
  }
  const form = {
    groupMean: new Float32Array(rows * rows),
    baselines: new Float32Array(rows),
    coefficients: new Float32Array(rows),
    groupSizes: new Int32Array(rows),
  };
  for (const list of members.values()) {
    const size = list.length;
    for (const i of list) {
      form.groupSizes[i] = size;
      form.coefficients[i] = 1 / (Math.max(size - 1, 1) * members.size);
      if (size === 1) form.baselines[i] = values[i] as number;
      else for (const j of list) form.groupMean[i * rows + j] = 1 / size;
    }
  }
  return form;
}

/** A = R_beta - M R_beta - b of each row, as {@link addCopgObjective} has it in the graph. */
export function advantagesOf(
  batch: Pick<CopgBatch, 'rewards' | 'referenceLogprobs' | 'beta'>,
  form: LinearForm,
  logprobs: Float32Array,
): Float32Array {
  const rows = logprobs.length;
  const residuals = logprobs.map(
    (logprob, i) => (batch.rewards[i] as number) - batch.beta * (logprob - (batch.referenceLogprobs[i] as number)),
  );
  return residuals.map((residual, i) => {
    let mean = form.baselines[i] as number;
    for (let j = 0; j < rows; j++) mean += (form.groupMean[i * rows + j] as number) * (residuals[j] as number);
    return residual - mean;
  });
}

/** Weight of each row, A_i K/(K-1), and the paper's loss 1/(2 beta) mean over pairs (or singles) of the squared residual difference. */
export function summarize(
  advantages: Float32Array,
  form: LinearForm,
  beta: number,
): { weights: Float32Array; loss: number } {
  const weights = new Float32Array(advantages.length);
  let loss = 0;
  for (const [i, advantage] of advantages.entries()) {
    const size = form.groupSizes[i] as number;
    weights[i] = size === 1 ? advantage : (advantage * size) / (size - 1);
    // sum over pairs of squared differences = K sum A^2, over K(K-1)/2 pairs: 2/(K-1) sum A^2
    const perPrompt = size === 1 ? advantage ** 2 : (2 * advantage ** 2) / (size - 1);
    loss += perPrompt * promptShare(form, i);
  }
  return { weights, loss: beta > 0 ? loss / (2 * beta) : loss / 2 };
}

/** 1 / number of prompts, recovered from the coefficient. */
function promptShare(form: LinearForm, i: number): number {
  return (form.coefficients[i] as number) * Math.max((form.groupSizes[i] as number) - 1, 1);
}
