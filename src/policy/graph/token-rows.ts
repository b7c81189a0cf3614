/**
 * Makes the tokens of all rows one matrix [B*S, D] instead of [B, S, D].
 *
 * This is possible because most operators between the embedding and the head treat each token by itself. It is useful
 * because Gemm, which multiplies and adds in one operator, accepts only matrices.
 */

import { type Graph, microsoft, type Node, numberAttribute } from '../../onnx/index.js';
import { type AttentionSite, isVector } from '../../package/lowering.js';
import { rotationOf } from './cached-attention.js';

/** Operators that treat each token by itself, along the last axis only. */
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
/** Those of them that accept a constant of any shape. */
const broadcasting: ReadonlySet<string> = new Set(['Add', 'Mul', 'Sub', 'Div']);
const norms: ReadonlySet<string> = new Set(['SimplifiedLayerNormalization', 'LayerNormalization']);

/** Whether every operator between the token ids and the logits, except attention, treats each token by itself. */
export function canFlatten(graph: Graph, sites: readonly AttentionSite[]): boolean {
  const attention = new Set(sites.map(({ node }) => node));
  const turned = new Set(
    sites.flatMap((site) => (rotationOf(graph, site) === undefined ? [] : [site.query, site.key])),
  );
  // Rotations of queries and keys are moved behind the split into heads. A rotation that is read as a value cannot
  // move.
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
  // The loop also visits values that are added to the set meanwhile.
  for (const value of values) {
    for (const node of consumers.get(value) ?? []) {
      if (seen.has(node)) continue;
      if (!isTokenwise(node)) return false;
      seen.add(node);
      // Only the first output of attention belongs to the tokens; the others are the cache.
      for (const output of attention.has(node) ? node.outputs.slice(0, 1) : node.outputs) values.add(output);
    }
  }
  const elementwise = [...seen].filter(({ op }) => broadcasting.has(op));
  const producers = graph.producers();
  const fits = (value: string): boolean => values.has(value) || isVector(graph, producers, value);
  return values.size > 0 && elementwise.every(({ inputs }) => inputs.every(fits)) && turnsOnly(consumers, seen);
}

/** Whether positions are only used to rotate queries and keys, which have both axes again at that point. */
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

function isEmbedding(node: Node): boolean {
  const gathers = node.op === 'Gather' || (node.op === 'GatherBlockQuantized' && node.domain === microsoft);
  return gathers && node.inputs[1] === 'input_ids' && numberAttribute(node, 'axis', 0) === 0;
}

/** Makes the embedding read the ids of all rows as one list. */
export function flattenTokens(graph: Graph): void {
  const ids = graph.freshName('ids');
  graph.replaceUses('input_ids', ids);
  graph.add('Reshape', ['input_ids', graph.int64([-1])], { outputs: [ids] });
}
