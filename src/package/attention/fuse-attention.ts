/**
 * Turns attention that a file spells out into GroupQueryAttention, the form that Hone reads. Exporters write the mask, the
 * repeated heads and the factors of scores with dozens of operators, in ways that change with their versions. So none of
 * them is recognised: the part between queries, keys, values and the result is run and measured, and refused unless it
 * computes what GroupQueryAttention computes. Rotary positions and norms stay as they are spelled.
 */

import { type Graph, intsAttribute, microsoft, type Node } from '../../onnx/index.js';
import { readPositions } from './counted-positions.js';
import { foldShapes, type ProbedDims } from './fold-shapes.js';
import { measureAttention } from './measure-attention.js';
import type { MeasuredAttention } from './measured-attention.js';
import { multiplyOuter } from './outer-products.js';
import { multiplyRows } from './row-products.js';
import { spellOperators } from './spell-operator.js';
import { findSpelledAttention } from './spelled-attention.js';

/**
 * Returns the graph with fused attention, or the graph itself if it spells none out.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for attention that computes something else
 */
export async function fuseAttention(source: Graph): Promise<Graph> {
  if (source.nodes.some(({ op, domain }) => op === 'GroupQueryAttention' && domain === microsoft)) return source;
  const graph = source.clone();
  graph.prune();
  liftConstants(graph);
  spellOperators(graph);
  const found = findSpelledAttention(graph);
  if (found.length === 0) return source;
  const wanted = found.flatMap(({ queries, newKey, newValue, outputs }) => [...queries, newKey, newValue, ...outputs]);
  const { sizes, dims } = await foldShapes(graph, [...wanted, ...productInputs(graph)]);
  const sites = await measureAttention(graph, findSpelledAttention(graph), sizes, dims);
  if (!graph.opsets.has(microsoft)) graph.opsets.set(microsoft, 1);
  const lengths = addLengths(graph);
  for (const site of sites) fuse(graph, site, lengths, dims);
  graph.prune();
  multiplyRows(graph, dims);
  await readPositions(graph);
  multiplyOuter(graph, dims);
  graph.prune();
  return graph;
}

/** Makes constants initializers: a node of its own for each makes a graph slow to open. */
function liftConstants(graph: Graph): void {
  graph.nodes = graph.nodes.filter(({ op, domain, attributes: { value }, outputs }) => {
    if (op !== 'Constant' || domain !== '' || value === undefined || !('t' in value)) return true;
    graph.initializers.set(outputs[0] as string, value.t);
    return false;
  });
}

function productInputs(graph: Graph): string[] {
  return graph.nodes.flatMap(({ op, inputs }) =>
    op === 'MatMul' && !graph.initializers.has(inputs[1] ?? '') ? inputs : [],
  );
}

/** The lengths that GroupQueryAttention reads, as ONNX Runtime GenAI computes them from the mask. */
function addLengths(graph: Graph): [string, string] {
  if (!graph.inputs.has('attention_mask')) {
    graph.inputs.set('attention_mask', { type: 'int64', dims: ['batch_size', 'total_sequence_length'] });
  }
  const count = graph.add('ReduceSum', ['attention_mask', graph.int64([1])], { attributes: { keepdims: { i: 0 } } });
  const last = graph.add('Sub', [count, graph.int64([1])]);
  const columns = graph.add('Gather', [graph.add('Shape', ['attention_mask']), graph.int64(1)]);
  const asInt32 = (value: string): string => graph.add('Cast', [value], { attributes: { to: { i: 6 } } });
  return [asInt32(last), asInt32(columns)];
}

function fuse(graph: Graph, site: MeasuredAttention, lengths: [string, string], dims: ProbedDims): void {
  const { heads, kvHeads, headSize, scale, window, softcap } = site.form;
  const { layer, keyCache, valueCache, output } = site;
  const query = joinHeads(graph, site.query, heads * headSize, dims);
  const key = joinHeads(graph, site.newKey, kvHeads * headSize, dims);
  const value = joinHeads(graph, site.newValue, kvHeads * headSize, dims);
  const producers = graph.producers();
  const isByToken = dims.get(output)?.[0]?.length === 3;
  const result = isByToken ? output : graph.freshName('attention');
  const replaced = new Set<Node>([keyCache, valueCache]);
  for (const name of [output, `present.${layer}.key`, `present.${layer}.value`]) {
    const node = producers.get(name);
    if (node !== undefined) replaced.add(node);
  }
  graph.removeNodes(replaced);
  const pasts = [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`];
  graph.add('GroupQueryAttention', [query, key, value, ...pasts, ...lengths], {
    name: site.softmax.name,
    domain: microsoft,
    attributes: {
      num_heads: { i: heads },
      kv_num_heads: { i: kvHeads },
      scale: { f: scale },
      ...(window === null ? {} : { local_window_size: { i: window } }),
      ...(softcap === null ? {} : { softcap: { f: softcap } }),
    },
    outputs: [result, `present.${layer}.key`, `present.${layer}.value`],
  });
  if (!isByToken) graph.add('Reshape', [result, graph.int64([-1, heads * headSize])], { outputs: [output] });
}

/** Returns [B, S, heads * headSize] for a value [B, heads, S, headSize]; the value before both moves if there is one. */
function joinHeads(graph: Graph, value: string, width: number, dims: ProbedDims): string {
  const producers = graph.producers();
  const turned = producers.get(value);
  const isTurned = turned?.op === 'Transpose' && intsAttribute(turned, 'perm')?.join() === '0,2,1,3';
  const swapped = { attributes: { perm: { is: [0, 2, 1, 3] } } };
  const byToken = isTurned ? (turned.inputs[0] as string) : graph.add('Transpose', [value], swapped);
  const split = producers.get(byToken);
  const [whole = ''] = split?.op === 'Reshape' ? split.inputs : [];
  if (dims.get(whole)?.every((shape) => shape.length === 3 && shape[2] === width)) return whole;
  return graph.add('Reshape', [byToken, graph.int64([0, 0, width])]);
}
