/** Finds the linear layers that a learner trains. It trains all of them or refuses the model. */

import { HoneError } from '../errors.js';
import type { Graph } from '../onnx/index.js';
import { findAttention, findHead, findLinears, type LinearSite } from './lowering.js';
import { describeNode } from './operators/form.js';
import { followTokens } from './token-flow.js';

/**
 * Returns the linear layers that get adapters in training: all except the head.
 * @throws HoneError `MODEL_NOT_TRAINABLE` if the module of any of them is unknown, because adapters are named after
 * modules; `OPERATOR_UNSUPPORTED` if the decoder has a form that Hone does not read
 */
export function findTrainableLinears(graph: Graph): LinearSite[] {
  const head = findHead(graph);
  const products = followTokens(graph, findAttention(graph)).products.filter((node) => node !== head);
  const linears = findLinears(graph).filter(({ node }) => products.includes(node));
  const named = new Set(linears.map(({ node }) => node));
  const unnamed = products.filter((node) => !named.has(node));
  if (unnamed.length === 0 && linears.length > 0) return linears;
  const examples = unnamed.slice(0, 3).map((node) => `${describeNode(node)} by ${node.inputs[1]}`);
  const listed = examples.length === 0 ? '' : ` (${examples.join(', ')}${unnamed.length > 3 ? ', ...' : ''})`;
  throw new HoneError(
    'MODEL_NOT_TRAINABLE',
    `${unnamed.length} of the ${products.length} linear layers have no module name that Hone can read${listed}, so they ` +
      'would get no adapters; serve the model with --learner off, or take an export that names its weights ' +
      '(model.layers.0.mlp.up_proj.weight) or its nodes (/model/layers.0/mlp/up_proj/MatMul) after the modules',
  );
}
