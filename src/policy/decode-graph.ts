/**
 * The decode variant of a package's graph: the cache is an input, and only what a step adds to it is an output.
 *
 * The binding copies every output that is fetched, so a graph that returned the whole cache (as the package's own does)
 * would copy it at each step. Here the step's new keys and values [B, kv, S, hd] come out, and JavaScript writes them
 * into the cache. Scores against the cache and against the step itself share one softmax.
 *
 * Inputs: `input_ids` [B, S] int64, padded at the right with any token; `past_lens` [B] int64, how many tokens of each
 * row are in the cache; `last_index` [B, 1] int64, the step's last real token of each row; `past_key_values.<layer>.key`
 * and `.value` [B, kv, C, hd], whose columns from the row's past length on may hold any finite numbers (C may be 0);
 * `<module>.lora_A` [in, r] and `<module>.lora_B` [r, out] of each linear layer, r of any size.
 * Outputs: `logits` [B, V] at the last real token; `new.<layer>.key` and `.value` [B, kv, S, hd].
 */

import { HoneError } from '../errors.js';
import { type Graph, microsoft } from '../onnx/index.js';
import {
  type AttentionSite,
  attachAdapters,
  findAttention,
  findLinears,
  quantizedProduct,
  useIntegerProducts,
} from '../package/index.js';
import type { AdapterTarget } from '../versions/types.js';

/** A graph that serves, and what feeds it. */
export interface DecodeGraph {
  readonly graph: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly targets: readonly AdapterTarget[];
}

export const pastName = (layer: number, part: 'key' | 'value'): string => `past_key_values.${layer}.${part}`;
export const newName = (layer: number, part: 'key' | 'value'): string => `new.${layer}.${part}`;

/**
 * Derives the decode variant, in a copy.
 * @param contextLength positions of padding are kept below it, where the rotary tables end
 * @param scale what every adapter's product is multiplied by (`lora_alpha / r`)
 * @throws HoneError `OPERATOR_UNSUPPORTED` for a decoder whose attention is not a GroupQueryAttention operator
 */
export function toDecodeGraph(source: Graph, contextLength: number, scale: number): DecodeGraph {
  const graph = source.clone();
  const sites = findAttention(graph);
  const { heads, kvHeads, headSize } = sites[0] as AttentionSite;
  for (const name of ['attention_mask', 'position_ids']) graph.inputs.delete(name);
  graph.inputs.set('input_ids', { type: 'int64', dims: ['B', 'S'] });
  graph.inputs.set('past_lens', { type: 'int64', dims: ['B'] });
  graph.inputs.set('last_index', { type: 'int64', dims: ['B', 1] });
  graph.outputs.clear();

  const stepLength = sizeOf(graph, 'input_ids', 1);
  const steps = graph.add('Range', [graph.int64(0), stepLength, graph.int64(1)]);
  addPositions(graph, steps, contextLength);
  const stepBias = causalBias(graph, steps, heads / kvHeads);
  const pastLength = sizeOf(graph, pastName(0, 'key'), 2);
  const pastBias = unfilledBias(graph, pastLength);
  const lengths = graph.add(
    'Concat',
    [1, 2].map((i) => unsqueeze(graph, i === 1 ? pastLength : stepLength, 0)),
    {
      attributes: { axis: { i: 0 } },
    },
  );
  addLogits(graph);
  for (const site of sites) fillAttention(graph, site, { pastBias, stepBias, lengths });

  const linears = findLinears(graph);
  attachAdapters(graph, linears, 1, scale);
  for (const [name, { type, dims }] of graph.inputs) {
    // Versions of different ranks are served by one graph.
    if (name.endsWith('.lora_A')) graph.inputs.set(name, { type, dims: [dims[0] as number, 'r'] });
    if (name.endsWith('.lora_B')) graph.inputs.set(name, { type, dims: ['r', dims[1] as number] });
  }
  useIntegerProducts(graph);
  graph.prune();
  const targets = linears.map(({ module, inFeatures, outFeatures }) => ({ module, inFeatures, outFeatures }));
  return { graph, layers: sites.length, kvHeads, headSize, targets };
}

/** A dimension's size as a scalar. */
function sizeOf(graph: Graph, value: string, axis: number): string {
  const shape = graph.add('Shape', [value], { attributes: { start: { i: axis }, end: { i: axis + 1 } } });
  return graph.add('Squeeze', [shape, graph.int64([0])]);
}

function unsqueeze(graph: Graph, value: string, ...axes: number[]): string {
  return graph.add('Unsqueeze', [value, graph.int64(axes)]);
}

/** position_ids [B, S] = past length + index in the step. */
function addPositions(graph: Graph, steps: string, contextLength: number): void {
  const positions = graph.add('Add', [unsqueeze(graph, 'past_lens', 1), steps]);
  graph.add('Min', [positions, graph.int64(contextLength - 1)], { outputs: ['position_ids'] });
}

/** What is added to scores: 0 where visible, hugely negative elsewhere. */
function bias(graph: Graph, visible: string): string {
  return graph.add('Where', [visible, graph.float(0), graph.float(-1e30)]);
}

/** [1, 1, g*S, S]: a token of the step sees itself and those before it; the g query heads of a group are stacked. */
function causalBias(graph: Graph, steps: string, groupSize: number): string {
  const square = bias(graph, graph.add('LessOrEqual', [steps, unsqueeze(graph, steps, 1)]));
  const stacked = new Array<string>(groupSize).fill(square);
  const all = groupSize === 1 ? square : graph.add('Concat', stacked, { attributes: { axis: { i: 0 } } });
  return unsqueeze(graph, all, 0, 1);
}

/** [B, 1, 1, C]: columns of the cache that the row has filled. */
function unfilledBias(graph: Graph, pastLength: string): string {
  const columns = graph.add('Range', [graph.int64(0), pastLength, graph.int64(1)]);
  return unsqueeze(graph, bias(graph, graph.add('Less', [columns, unsqueeze(graph, 'past_lens', 1)])), 1, 2);
}

/** softmax(scale * Q [past K, K]^T + bias) [past V, V], with the query heads of a group stacked along the rows. */
function fillAttention(
  graph: Graph,
  site: AttentionSite,
  { pastBias, stepBias, lengths }: { pastBias: string; stepBias: string; lengths: string },
): void {
  const { layer, heads, kvHeads, headSize } = site;
  graph.removeNodes(new Set([site.node]));
  const cacheShape = ['B', kvHeads, 'C', headSize];
  const stepShape = ['B', kvHeads, 'S', headSize];
  for (const name of [site.pastKey, site.pastValue]) graph.inputs.set(name, { type: 'float32', dims: cacheShape });
  for (const part of ['key', 'value'] as const) {
    graph.outputs.set(newName(layer, part), { type: 'float32', dims: stepShape });
  }
  const byHead = (value: string, count: number, outputs?: readonly string[]): string =>
    graph.add('Transpose', [graph.add('Reshape', [value, graph.int64([0, 0, count, headSize])])], {
      attributes: { perm: { is: [0, 2, 1, 3] } },
      ...(outputs === undefined ? {} : { outputs }),
    });
  const key = byHead(site.key, kvHeads, [newName(layer, 'key')]);
  const value = byHead(site.value, kvHeads, [newName(layer, 'value')]);
  const query = graph.add('Reshape', [byHead(site.query, heads), graph.int64([0, kvHeads, -1, headSize])]);
  const scores = (keys: string, mask: string): string => {
    const product = graph.add('FusedMatMul', [query, keys], {
      domain: microsoft,
      attributes: { transB: { i: 1 }, alpha: { f: site.scale } },
    });
    return graph.add('Add', [product, mask]);
  };
  const joined = graph.add('Concat', [scores(site.pastKey, pastBias), scores(key, stepBias)], {
    attributes: { axis: { i: 3 } },
  });
  const weights = graph.add('Softmax', [joined], { attributes: { axis: { i: 3 } } });
  const [onPast, onStep] = [graph.freshName('past_weights'), graph.freshName('step_weights')];
  graph.add('Split', [weights, lengths], { attributes: { axis: { i: 3 } }, outputs: [onPast, onStep] });
  const mixed = graph.add('Add', [graph.add('MatMul', [onPast, site.pastValue]), graph.add('MatMul', [onStep, value])]);
  const heads4 = graph.add('Reshape', [mixed, graph.int64([0, heads, -1, headSize])]);
  const byToken = graph.add('Transpose', [heads4], { attributes: { perm: { is: [0, 2, 1, 3] } } });
  graph.add('Reshape', [byToken, graph.int64([0, 0, heads * headSize])], { outputs: [site.output] });
}

/** The head runs at each row's last real token only. */
function addLogits(graph: Graph): void {
  const head = graph.producers().get('logits');
  if (head === undefined || (head.op !== 'MatMul' && quantizedProduct(graph, head) === undefined)) {
    throw new HoneError(
      'OPERATOR_UNSUPPORTED',
      `logits come from ${head?.op ?? 'nothing'}; a MatMul by the head's weight is expected`,
    );
  }
  const [hidden, ...weights] = head.inputs as [string, string];
  const last = graph.add('GatherND', [hidden, 'last_index'], { attributes: { batch_dims: { i: 1 } } });
  graph.replaceNode(head, [{ ...head, inputs: [last, ...weights] }]);
  graph.outputs.set('logits', null);
}
