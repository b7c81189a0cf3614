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
const norms: ReadonlySet<string> = new Set(['SimplifiedLayerNormalization', 'LayerNormalization']);

/** Whether every operator on the way from the token ids to the logits, attention apart, sees one token at a time. */
export function canFlatten(graph: Graph, sites: readonly AttentionSite[]): boolean {
  const attention = new Set(sites.map(({ node }) => node));
  const turned = new Set(
    sites.flatMap((site) => (rotationOf(graph, site) === undefined ? [] : [site.query, site.key])),
  );
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
  const open: string[] = [];
  for (const node of consumers.get('input_ids') ?? []) {
    if (!isEmbedding(node)) return false;
    open.push(...node.outputs);
  }
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    for (const node of consumers.get(value) ?? []) {
      if (seen.has(node)) continue;
      if (!isTokenwise(node)) return false;
      seen.add(node);
      // Attention hands only its result on; the cache is no token.
      open.push(...(attention.has(node) ? node.outputs.slice(0, 1) : node.outputs));
    }
  }
  return true;
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
