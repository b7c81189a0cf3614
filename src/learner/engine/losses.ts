/**
 * The scalars that training differentiates, as nodes on top of the training graph: the linear form of the learner, and
 * the cross-entropy that makes a policy from nothing.
 */

import { Tensor } from 'onnxruntime-node';
import { addDetach } from '../../autodiff/index.js';
import type { Graph } from '../../onnx/index.js';
import type { LinearForm } from '../linear-form.js';
import { tokenLogprobs } from './training-graph.js';

/** The value [R] that {@link addRowLogprobs} adds: ln pi(y_i|x_i). */
export const rowLogprobs = 'row_logprobs';
/** The scalar that {@link addLinearForm} adds: -sum_i stop(w_i) ln pi(y_i|x_i). */
export const surrogate = 'surrogate';
/** The scalar that {@link addCrossEntropy} adds. */
export const crossEntropy = 'cross_entropy';

/**
 * Adds {@link rowLogprobs}: the sum (or mean) of each row's token log-probabilities. Reads the
 * input `row_of_token` [R, N] of `packRows`.
 */
export function addRowLogprobs(graph: Graph): void {
  graph.inputs.set('row_of_token', { type: 'float32', dims: ['R', 'N'] });
  const column = graph.add('Unsqueeze', [tokenLogprobs, graph.int64([1])]);
  graph.add('Squeeze', [graph.add('MatMul', ['row_of_token', column]), graph.int64([1])], { outputs: [rowLogprobs] });
}

/**
 * Adds {@link rowLogprobs} and {@link surrogate}, with w = b + S h. Reads the inputs of {@link linearFormFeeds}.
 */
export function addLinearForm(graph: Graph): void {
  graph.inputs.set('weight_constants', { type: 'float32', dims: ['R'] });
  graph.inputs.set('weight_slopes', { type: 'float32', dims: ['R', 'R'] });
  graph.inputs.set('reference_logprobs', { type: 'float32', dims: ['R'] });
  addRowLogprobs(graph);
  const h = graph.add('Sub', [rowLogprobs, 'reference_logprobs']);
  const column = graph.add('Unsqueeze', [h, graph.int64([1])]);
  const change = graph.add('Squeeze', [graph.add('MatMul', ['weight_slopes', column]), graph.int64([1])]);
  const weights = addDetach(graph, graph.add('Add', ['weight_constants', change]));
  const total = graph.add('ReduceSum', [graph.add('Mul', [weights, rowLogprobs])], {
    attributes: { keepdims: { i: 0 } },
  });
  graph.add('Neg', [total], { outputs: [surrogate] });
}

/**
 * The inputs of {@link addLinearForm}: `weight_constants` b [R], `weight_slopes` S [R, R], `reference_logprobs` [R].
 */
export function linearFormFeeds({ constants, dependence }: LinearForm): Record<string, Tensor> {
  const rows = constants.length;
  const vector = (of: ArrayLike<number>): Tensor => new Tensor('float32', Float32Array.from(of), [rows]);
  return {
    weight_constants: vector(constants),
    weight_slopes: new Tensor('float32', dependence?.slopes ?? new Float32Array(rows * rows), [rows, rows]),
    reference_logprobs: vector(dependence?.referenceLogprobs ?? new Float32Array(rows)),
  };
}

/** Adds {@link crossEntropy}: -sum_n v_n ln pi(token n), with the input `token_weights` v [N]. */
export function addCrossEntropy(graph: Graph): void {
  graph.inputs.set('token_weights', { type: 'float32', dims: ['N'] });
  const total = graph.add('ReduceSum', [graph.add('Mul', ['token_weights', tokenLogprobs])], {
    attributes: { keepdims: { i: 0 } },
  });
  graph.add('Neg', [total], { outputs: [crossEntropy] });
}
