/**
 * Tokens as rows of one matrix.
 *
 * Between the embedding and the head most operators treat each token by itself, so that the tokens of all rows can
 * stand in one matrix [B*S, D] in place of [B, S, D]: Gemm, which multiplies and adds in one go, takes nothing else.
 */

import { type Graph, microsoft, type Node, numberAttribute } from '../../onnx/index.js';
import type { AttentionSite } from '../../package/index.js';
import { rotationOf } from './cached-attention.js';

/** Operators that see one token at a time, along the last axis only. */
const tokenwise: ReadonlySet<string> = new Set([
  'Add',
  'Mul',
  'Sub',
  'Div',
  'Sigmoid',
  'Tanh',
  'Gelu',
  'FastGelu',
  'QuickGelu',
  'Relu',
  'MatMul',
  'MatMulNBits',
]);
/** Those of them that take a constant of any shape. */
const broadcasting: ReadonlySet<string> = new Set(['Add', 'Mul', 'Sub', 'Div']);
const norms: ReadonlySet<string> = new Set(['SimplifiedLayerNormalization', 'LayerNormalization']);

/** Whether every operator on the way from the token ids to the logits, attention apart, sees one token at a time. */
export function canFlatten(graph: Graph, sites: readonly AttentionSite[]): boolean {
  const attention = new Set(sites.map(({ node }) => node));
  const turned = new Set(
    sites.flatMap((site) => (rotationOf(graph, site) === undefined ? [] : [site.query, site.key])),
  );
  // Rotations of queries and keys are moved behind the split into heads; one that is read as a value would stay.
  for (const { value } of sites) turned.delete(value);
  const consumers = graph.consumers();
  const isTokenwise = (node: Node): boolean => {
    if (attention.has(node)) return true;
    if (node.op === 'RotaryEmbedding') {
      const output = node.outputs[0] as string;
      return turned.has(output) && (consumers.get(output) ?? []).every((reader) => attention.has(reader));
    }
    if (node.op === 'Split') return numberAttribute(node, 'axis', 0) === -1;
    if (node.op === 'Slice') return graph.constantInts(node.inputs[3] ?? '')?.join() === '-1';
    return tokenwise.has(node.op) || (norms.has(node.op) && numberAttribute(node, 'axis', -1) === -1);
  };
  const seen = new Set<Node>();
  const values = new Set<string>();
  for (const node of consumers.get('input_ids') ?? []) {
    if (!isEmbedding(node)) return false;
    for (const output of node.outputs) values.add(output);
  }
  // A set goes on with what is added to it.
  for (const value of values) {
    for (const node of consumers.get(value) ?? []) {
      if (seen.has(node)) continue;
      if (!isTokenwise(node)) return false;
      seen.add(node);
      // Attention hands only its result on; the cache is no token.
      for (const output of attention.has(node) ? node.outputs.slice(0, 1) : node.outputs) values.add(output);
    }
  }
  const elementwise = [...seen].filter(({ op }) => broadcasting.has(op));
  const fits = (value: string): boolean => values.has(value) || isVector(graph, value);
  return values.size > 0 && elementwise.every(({ inputs }) => inputs.every(fits)) && turnsOnly(consumers, seen);
}

/** Whether positions do nothing to the tokens but turn queries and keys, which have both axes by then. */
function turnsOnly(consumers: ReadonlyMap<string, readonly Node[]>, seen: ReadonlySet<Node>): boolean {
  const values = new Set(['position_ids']);
  for (const value of values) {
    for (const node of consumers.get(value) ?? []) {
      if (!seen.has(node)) for (const output of node.outputs) values.add(output);
      else if (node.op !== 'RotaryEmbedding') return false;
    }
  }
  return true;
}

/** A constant that adds no axis to a matrix. */
function isVector(graph: Graph, value: string): boolean {
  const constant = graph.producers().get(value)?.attributes.value;
  const tensor = graph.initializers.get(value) ?? (constant !== undefined && 't' in constant ? constant.t : undefined);
  return tensor !== undefined && tensor.dims.length <= 1;
}

function isEmbedding(node: Node): boolean {
  const gathers = node.op === 'Gather' || (node.op === 'GatherBlockQuantized' && node.domain === microsoft);
  return gathers && node.inputs[1] === 'input_ids' && numberAttribute(node, 'axis', 0) === 0;
}

/** Lets the embedding read the ids of all rows as one list. */
export function flattenTokens(graph: Graph): void {
  const ids = graph.freshName('ids');
  graph.replaceUses('input_ids', ids);
  graph.add('Reshape', ['input_ids', graph.int64([-1])], { outputs: [ids] });
}
