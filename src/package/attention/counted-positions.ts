/**
 * Makes positions an input. Some exports have no `position_ids` and count positions: from the length of the cache, or
 * from the mask. Hone knows the position of each token itself, so a value that is such a count, whatever operators compute
 * it, is replaced by the input.
 */

import type { Graph, Node } from '../../onnx/index.js';
import { sizeProbes } from './fold-shapes.js';
import { type Evaluated, evaluate, type Probe } from './probe-run.js';

/** Operators that begin a count. */
const counting: ReadonlySet<string> = new Set(['Range', 'CumSum']);

/** Replaces counted positions of a graph in place. Its attention is fused, so that only its tokens' positions are left. */
export async function readPositions(graph: Graph): Promise<void> {
  const candidates = countedValues(graph);
  if (candidates.length === 0) return;
  const runs = await evaluate(graph, candidates, sizeProbes);
  const replaced = new Map<string, string>();
  for (const name of candidates) {
    const found = runs.map((run) => run.get(name) as Evaluated);
    const axes = sharedAxes(found);
    if (axes === undefined) continue;
    replaced.set(name, axes.length === 0 ? input : graph.add('Unsqueeze', [input, graph.int64(axes)]));
  }
  if (replaced.size === 0) return;
  if (!graph.inputs.has(input)) graph.inputs.set(input, { type: 'int64', dims: ['batch_size', 'sequence_length'] });
  graph.nodes = graph.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map((name) => replaced.get(name) ?? name),
  }));
}

const input = 'position_ids';

/** Values that come from a count and from nothing that belongs to tokens. */
function countedValues(graph: Graph): string[] {
  const sorted = graph.clone();
  sorted.outputs.clear();
  sorted.outputs.set('logits', null);
  sorted.prune();
  const counted = new Set<string>();
  const byToken = new Set(['input_ids', 'position_ids']);
  const isByToken = (node: Node): boolean =>
    node.op !== 'Shape' && node.inputs.some((input) => byToken.has(input) || /^past_key_values\./.test(input));
  for (const node of sorted.nodes) {
    const marked = isByToken(node) ? byToken : counted;
    const begins = counting.has(node.op) || node.inputs.some((input) => counted.has(input));
    if (marked === byToken || begins) for (const output of node.outputs) marked.add(output);
  }
  return [...counted];
}

/**
 * Returns the axes of size 1 between and behind rows and tokens if a value [B or 1, .., S, ..] holds the positions of
 * tokens behind the cache in each probe; undefined if it is something else.
 */
function sharedAxes(found: readonly Evaluated[]): number[] | undefined {
  const [first] = found as [Evaluated];
  const axis = first.dims.lastIndexOf((sizeProbes[0] as Probe).tokens);
  const isPosition = found.every(({ type, dims, values }, i) => {
    const { rows, tokens, past } = sizeProbes[i] as Probe;
    const fits = dims.every((size, at) => size === (at === axis ? tokens : 1) || (at === 0 && size === rows));
    return type === 'int64' && fits && Array.from(values, Number).every((value, at) => value === past + (at % tokens));
  });
  return axis > 0 && isPosition ? first.dims.map((_, at) => at).filter((at) => at > 0 && at !== axis) : undefined;
}
