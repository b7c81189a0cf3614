/**
 * The decode variant of a package's graph. The cache is an input, and the output is only what a step adds to it.
 *
 * The onnxruntime binding copies every output. The package's own graph returns the whole cache, which would be copied
 * at each step. Here the graph returns the step's new keys and values as one tensor, and JavaScript writes them into
 * the cache.
 *
 * Inputs:
 * - `input_ids` [B, S] int64, padded at the right with any token;
 * - `past_lens` [B] int64, the number of each row's tokens in the cache;
 * - `last_index` [B, 1] int64, the index of each row's last real token in the step;
 * - `past_key_values.<layer>.key` and `.value` [B, kv, C, hd]; columns from the row's past length on may hold any
 *   finite numbers, and C may be 0;
 * - the adapters of each group of linear layers (`packed-linears.ts`), of any rank.
 *
 * Outputs:
 * - `logits` [B, V] at the last real token;
 * - `top_probability` [B], the largest value of their softmax;
 * - `new_key_values` [2 * layers * B, kv, S, hd].
 */

import type { Graph } from '../../onnx/index.js';
import { type AttentionSite, findAttention, findHead, findLinears } from '../../package/lowering.js';
import { useIntegerProducts } from '../../package/quantization/products.js';
import { fillAttention, newKeyValues, type StepShape } from './cached-attention.js';
import { fuseNorms } from './fused-norms.js';
import { type PackedLinear, packLinears } from './packed-linears.js';
import { canFlatten, flattenTokens } from './token-rows.js';

/** A decode graph, with the sizes and adapter inputs that are needed to feed it. */
export interface DecodeGraph {
  readonly graph: Graph;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly groups: readonly PackedLinear[];
}

/**
 * Derives the decode variant as a new graph.
 * @param contextLength rows of the rotary tables; positions of padding are limited to it
 * @param adapters whether linear layers take adapters. If false, the graph computes the base model only.
 * @throws HoneError `OPERATOR_UNSUPPORTED` if attention is not a GroupQueryAttention operator
 */
export function toDecodeGraph(source: Graph, contextLength: number, adapters = true): DecodeGraph {
  const graph = source.clone();
  const sites = findAttention(graph);
  const { heads, kvHeads, headSize } = sites[0] as AttentionSite;
  const flat = canFlatten(graph, sites);
  for (const name of ['attention_mask', 'position_ids']) graph.inputs.delete(name);
  graph.inputs.set('input_ids', { type: 'int64', dims: ['B', 'S'] });
  graph.inputs.set('past_lens', { type: 'int64', dims: ['B'] });
  graph.inputs.set('last_index', { type: 'int64', dims: ['B', 1] });
  graph.outputs.clear();

  if (flat) flattenTokens(graph);
  const shape = addStepShape(graph, { contextLength, groupSize: heads / kvHeads, flat });
  addLogits(graph, shape);
  useIntegerProducts(graph);
  const groups = packLinears(graph, findLinears(graph), { adapters, flat });
  const added = sites.flatMap((site) => fillAttention(graph, site, shape));
  graph.add('Concat', added, { attributes: { axis: { i: 0 } }, outputs: [newKeyValues] });
  graph.outputs.set(newKeyValues, { type: 'float32', dims: ['P', kvHeads, 'S', headSize] });
  if (flat) fuseNorms(graph);
  graph.prune();
  return { graph, layers: sites.length, kvHeads, headSize, groups };
}

/** Adds sizes, positions and masks of a step, which all layers share. */
function addStepShape(
  graph: Graph,
  { contextLength, groupSize, flat }: { contextLength: number; groupSize: number; flat: boolean },
): StepShape {
  const rows = sizeOf(graph, 'input_ids', 0);
  const steps = sizeOf(graph, 'input_ids', 1);
  const columns = sizeOf(graph, 'past_key_values.0.key', 2);
  const stepIndex = range(graph, steps);
  addPositions(graph, stepIndex, contextLength);
  const column = range(graph, columns);
  const queries = graph.add('Mul', [steps, graph.int64([groupSize])]);
  const addBias = (window: number | null): string =>
    concat(graph, 3, [
      window === null
        ? graph.add('Expand', [
            unfilledBias(graph, column),
            concat(graph, 0, [one(graph), one(graph), queries, one(graph)]),
          ])
        : stacked(graph, windowBias(graph, column, stepIndex, window), groupSize),
      graph.add('Expand', [
        stacked(graph, causalBias(graph, stepIndex, window), groupSize),
        concat(graph, 0, [rows, one(graph), one(graph), one(graph)]),
      ]),
    ]);
  const biases = new Map<number | null, string>();
  const biasFor = (window: number | null): string => {
    const bias = biases.get(window) ?? addBias(window);
    biases.set(window, bias);
    return bias;
  };
  return { rows, steps, lengths: concat(graph, 0, [columns, steps]), biasFor, flat };
}

const one = (graph: Graph): string => graph.int64([1]);

function concat(graph: Graph, axis: number, values: readonly string[]): string {
  return graph.add('Concat', values, { attributes: { axis: { i: axis } } });
}

/** The size of a dimension, int64 [1]. */
function sizeOf(graph: Graph, value: string, axis: number): string {
  return graph.add('Shape', [value], { attributes: { start: { i: axis }, end: { i: axis + 1 } } });
}

/** 0, 1, ... up to a size [1]. */
function range(graph: Graph, size: string): string {
  return graph.add('Range', [graph.int64(0), graph.add('Squeeze', [size, graph.int64([0])]), graph.int64(1)]);
}

function unsqueeze(graph: Graph, value: string, ...axes: number[]): string {
  return graph.add('Unsqueeze', [value, graph.int64(axes)]);
}

/** position_ids [B, S] = past length + index in the step. */
function addPositions(graph: Graph, stepIndex: string, contextLength: number): void {
  const positions = graph.add('Add', [unsqueeze(graph, 'past_lens', 1), stepIndex]);
  graph.add('Min', [positions, graph.int64(contextLength - 1)], { outputs: ['position_ids'] });
}

/** A bias of scores: 0 for visible tokens, a very large negative number for others. */
function bias(graph: Graph, visible: string): string {
  return graph.add('Where', [visible, graph.float(0), graph.float(-1e30)]);
}

/** [.., S, ..] -> [.., g*S, ..] on axis 2: the g query heads of a group are stacked. */
function stacked(graph: Graph, value: string, groupSize: number): string {
  return groupSize === 1 ? value : concat(graph, 2, new Array<string>(groupSize).fill(value));
}

/** [1, 1, S, S]. A token sees itself and earlier tokens of the step, within its window. */
function causalBias(graph: Graph, stepIndex: string, window: number | null): string {
  const query = unsqueeze(graph, stepIndex, 1);
  const causal = graph.add('LessOrEqual', [stepIndex, query]);
  const visible = window === null ? causal : graph.add('And', [causal, isWithin(graph, stepIndex, query, window)]);
  return unsqueeze(graph, bias(graph, visible), 0, 1);
}

/** [B, 1, S, C]. A token sees the filled columns of its row that lie within its window. */
function windowBias(graph: Graph, column: string, stepIndex: string, window: number): string {
  const length = unsqueeze(graph, 'past_lens', 1, 2);
  const query = graph.add('Add', [length, unsqueeze(graph, stepIndex, 1)]);
  const visible = graph.add('And', [graph.add('Less', [column, length]), isWithin(graph, column, query, window)]);
  return unsqueeze(graph, bias(graph, visible), 1);
}

/** Whether a key's position is one of the `window` positions that end with the query's. */
function isWithin(graph: Graph, key: string, query: string, window: number): string {
  return graph.add('Greater', [graph.add('Add', [key, graph.int64(window)]), query]);
}

/** [B, 1, 1, C]. A row sees only the columns of the cache that it has filled. */
function unfilledBias(graph: Graph, columns: string): string {
  return unsqueeze(graph, bias(graph, graph.add('Less', [columns, unsqueeze(graph, 'past_lens', 1)])), 1, 2);
}

/** Computes the head only for the last real token of each row. */
function addLogits(graph: Graph, { rows, steps, flat }: StepShape): void {
  const head = findHead(graph);
  const [hidden, ...weights] = head.inputs as [string, ...string[]];
  const byRow = flat ? graph.add('Reshape', [hidden, concat(graph, 0, [rows, steps, graph.int64([-1])])]) : hidden;
  const last = graph.add('GatherND', [byRow, 'last_index'], { attributes: { batch_dims: { i: 1 } } });
  graph.replaceNode(head, [{ ...head, inputs: [last, ...weights] }]);
  graph.outputs.set('logits', null);
  // The softmax over the vocabulary is much faster in onnxruntime than in JavaScript.
  const probabilities = graph.add('Softmax', ['logits'], { attributes: { axis: { i: -1 } } });
  graph.add('ReduceMax', [probabilities, graph.int64([1])], {
    attributes: { keepdims: { i: 0 } },
    outputs: ['top_probability'],
  });
  graph.outputs.set('top_probability', null);
}
