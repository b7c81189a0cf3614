/**
 * The decode variant of a package's graph: the cache is an input, only the step's new keys and values are outputs.
 *
 * onnxruntime-node copies every output that is fetched, so a graph that returns its whole cache copies it each step.
 * Here JavaScript owns the cache, one [n, kv, C, hd] array per layer and capacity C, and writes a few rows per step.
 *
 * Inputs: `input_ids` [B, S] int64, padded at the right; `past_lengths` [B] int64, how many cache columns each row has
 * filled; `last_index` [B, 1] int64, the row's last real token in the chunk; `past_key.i`, `past_value.i`
 * [B, kv, C, hd], where C may be 0 and columns from `past_lengths` on must be finite (zeros); adapter matrices.
 * Outputs: `logits` [B, V] at `last_index`; `new_key.i`, `new_value.i` [B, kv, S, hd].
 *
 * Positions and masks are made in the graph from `past_lengths`: column c of the cache is visible if c < past_length, and
 * the chunk is causal, which hides its padding too. Query heads that share a key head are stacked along the rows.
 */

import { HoneError } from '../errors.js';
import { type Graph, microsoft } from '../onnx/index.js';
import { type AttentionSite, attachAdapters, findAttention, findLinears, type LinearSite } from '../package/index.js';

export interface DecodeGraph {
  readonly graph: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** The layers that take adapter matrices as inputs. */
  readonly linears: readonly LinearSite[];
}

export const pastKey = (layer: number): string => `past_key.${layer}`;
export const pastValue = (layer: number): string => `past_value.${layer}`;
export const newKey = (layer: number): string => `new_key.${layer}`;
export const newValue = (layer: number): string => `new_value.${layer}`;

/**
 * Derives the decode variant in a copy of the package's graph.
 * @param adapters Rank and scale of the adapters that every linear layer takes as inputs.
 * @throws HoneError `OPERATOR_UNSUPPORTED`
 */
export function toDecodeGraph(source: Graph, adapters: { readonly rank: number; readonly scale: number }): DecodeGraph {
  const graph = source.clone();
  const sites = findAttention(graph);
  const linears = findLinears(graph);
  attachAdapters(graph, linears, adapters.rank, adapters.scale);
  for (const name of ['attention_mask', 'position_ids', ...sites.flatMap((site) => [site.pastKey, site.pastValue])])
    graph.inputs.delete(name);
  graph.outputs.clear();
  graph.inputs.set('input_ids', { type: 'int64', dims: ['B', 'S'] });
  graph.inputs.set('past_lengths', { type: 'int64', dims: ['B'] });
  graph.inputs.set('last_index', { type: 'int64', dims: ['B', 1] });
  const { kvHeads, headSize, heads } = sites[0] as AttentionSite;
  const vocabularySize = addLogits(graph);
  const masks = addMasks(graph, heads / kvHeads);
  for (const site of sites) fillAttention(graph, site, masks);
  graph.prune();
  return { graph, layers: sites.length, kvHeads, headSize, vocabularySize, linears };
}

interface Masks {
  /** Added to scores against the cache: [B, 1, 1, C]. */
  readonly past: string;
  /** Added to scores within the chunk: [1, 1, g*S, S]. */
  readonly chunk: string;
  /** Column counts C and S, to take probabilities apart again: [2]. */
  readonly columns: string;
}

const hidden = -1e30;

function addMasks(graph: Graph, groupSize: number): Masks {
  const shape = (value: string, axis: number): string =>
    graph.add('Shape', [value], { attributes: { start: { i: axis }, end: { i: axis + 1 } } });
  const scalar = (value: string): string => graph.add('Squeeze', [value, graph.int64([0])]);
  const range = (count: string): string => graph.add('Range', [graph.int64(0), scalar(count), graph.int64(1)]);
  const chunkLength = shape('input_ids', 1);
  const capacity = shape(pastKey(0), 2);
  const step = range(chunkLength);
  const lengths = graph.add('Unsqueeze', ['past_lengths', graph.int64([1])]);
  graph.add('Add', [lengths, step], { outputs: ['position_ids'] });
  const filled = graph.add('Less', [range(capacity), lengths]);
  const past = graph.add('Where', [filled, graph.float(0), graph.float(hidden)]);
  const causal = graph.add('LessOrEqual', [step, graph.add('Unsqueeze', [step, graph.int64([1])])]);
  const own = graph.add('Where', [causal, graph.float(0), graph.float(hidden)]);
  const chunk =
    groupSize === 1
      ? own
      : graph.add('Concat', new Array<string>(groupSize).fill(own), { attributes: { axis: { i: 0 } } });
  return {
    past: graph.add('Unsqueeze', [past, graph.int64([1, 2])]),
    chunk: graph.add('Unsqueeze', [chunk, graph.int64([0, 1])]),
    columns: graph.add('Concat', [capacity, chunkLength], { attributes: { axis: { i: 0 } } }),
  };
}

/** softmax over cache and chunk together, each multiplied where it lies: neither is copied beside the other. */
function fillAttention(graph: Graph, site: AttentionSite, masks: Masks): void {
  const { heads, kvHeads, headSize, layer, scale } = site;
  const cache = { type: 'float32', dims: ['B', kvHeads, 'C', headSize] } as const;
  graph.inputs.set(pastKey(layer), cache);
  graph.inputs.set(pastValue(layer), cache);
  graph.outputs.set(newKey(layer), { type: 'float32', dims: ['B', kvHeads, 'S', headSize] });
  graph.outputs.set(newValue(layer), { type: 'float32', dims: ['B', kvHeads, 'S', headSize] });
  graph.removeNodes(new Set([site.node]));
  const split = (value: string, count: number, outputs?: readonly string[]): string =>
    graph.add('Transpose', [graph.add('Reshape', [value, graph.int64([0, 0, count, headSize])])], {
      attributes: { perm: { is: [0, 2, 1, 3] } },
      ...(outputs ? { outputs } : {}),
    });
  const key = split(site.key, kvHeads, [newKey(layer)]);
  const value = split(site.value, kvHeads, [newValue(layer)]);
  const query = graph.add('Reshape', [split(site.query, heads), graph.int64([0, kvHeads, -1, headSize])]);
  const scores = (keys: string, mask: string): string => {
    const products = graph.add('FusedMatMul', [query, keys], {
      domain: microsoft,
      attributes: { transB: { i: 1 }, alpha: { f: scale } },
    });
    return graph.add('Add', [products, mask]);
  };
  const all = graph.add('Concat', [scores(pastKey(layer), masks.past), scores(key, masks.chunk)], {
    attributes: { axis: { i: 3 } },
  });
  const weights = graph.add('Softmax', [all], { attributes: { axis: { i: -1 } } });
  const parts = [graph.freshName('past_weights'), graph.freshName('chunk_weights')];
  graph.add('Split', [weights, masks.columns], { attributes: { axis: { i: 3 } }, outputs: parts });
  const [pastWeights, chunkWeights] = parts as [string, string];
  const mixed = graph.add('Add', [
    graph.add('MatMul', [pastWeights, pastValue(layer)]),
    graph.add('MatMul', [chunkWeights, value]),
  ]);
  const byHead = graph.add('Reshape', [mixed, graph.int64([0, heads, -1, headSize])]);
  const byToken = graph.add('Transpose', [byHead], { attributes: { perm: { is: [0, 2, 1, 3] } } });
  graph.add('Reshape', [byToken, graph.int64([0, 0, heads * headSize])], { outputs: [site.output] });
}

/** The head runs at each row's last real token only. Returns the vocabulary's size. */
function addLogits(graph: Graph): number {
  const head = graph.producers().get('logits');
  const weight = head?.inputs[1];
  const producer = weight === undefined ? undefined : graph.producers().get(weight);
  const dims = graph.initializers.get(
    producer?.op === 'Transpose' ? (producer.inputs[0] as string) : (weight ?? ''),
  )?.dims;
  const vocabularySize = producer?.op === 'Transpose' ? dims?.[0] : dims?.[1];
  if (head?.op !== 'MatMul' || vocabularySize === undefined) {
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `logits come from ${head?.op ?? 'nothing'}; a MatMul by the head's constant weight is expected`,
    );
  }
  const last = graph.add('GatherND', [head.inputs[0] as string, 'last_index'], {
    attributes: { batch_dims: { i: 1 } },
  });
  graph.replaceNode(head, [{ ...head, inputs: [last, weight as string] }]);
  graph.outputs.set('logits', { type: 'float32', dims: ['B', vocabularySize] });
  return vocabularySize;
}
