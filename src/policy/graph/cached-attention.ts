/**
 * Attention over a cache that is a graph input: softmax(scale * Q [past K, K]^T + bias) [past V, V].
 *
 * The graph returns only the keys and values of the step, because returning the whole cache would copy it at each step.
 * Keys are not joined either, which would copy the cache too: scores against the cache and against the step are
 * computed separately and share one softmax. The query heads of a group are stacked along the rows, so that no key is
 * repeated. Query and key are rotated together, after their heads were moved in front of the tokens.
 */

import { type Attributes, type Graph, microsoft, type Node } from '../../onnx/index.js';
import { type AttentionSite, capScores } from '../../package/lowering.js';
import { unsplit } from './packed-linears.js';

export const pastName = (layer: number, part: 'key' | 'value'): string => `past_key_values.${layer}.${part}`;
/**
 * Name of the output [2 * layers * B, kv, S, hd]: key and value of layer 0, of layer 1 and so on, each for all rows.
 */
export const newKeyValues = 'new_key_values';

/** The rotary positions of query and key. */
interface Rotation {
  readonly query: string;
  readonly key: string;
  /** Positions, cosines, sines. */
  readonly inputs: readonly string[];
  readonly attributes: Attributes;
}

/**
 * Returns the rotation of an attention operator's query and key, or undefined if they are not rotated in the same way.
 */
export function rotationOf(graph: Graph, site: AttentionSite): Rotation | undefined {
  const producers = graph.producers();
  const [query, key] = [producers.get(site.query), producers.get(site.key)];
  if (!isRotary(query) || !isRotary(key)) return undefined;
  const settings = ({ inputs, attributes }: Node): string => {
    const { num_heads: _, ...rest } = attributes;
    return JSON.stringify([inputs.slice(1), rest]);
  };
  if (settings(query) !== settings(key)) return undefined;
  const { num_heads: _, ...attributes } = query.attributes;
  return { query: query.inputs[0] as string, key: key.inputs[0] as string, inputs: query.inputs.slice(1), attributes };
}

function isRotary(node: Node | undefined): node is Node {
  // If only a part of each head is rotated, the operator needs the number of heads, which is another one here.
  return node?.op === 'RotaryEmbedding' && node.domain === microsoft && !('rotary_embedding_dim' in node.attributes);
}

/** Values of a step that all layers of a graph share. */
export interface StepShape {
  /** Number of rows and number of tokens per row, int64 [1] each. */
  readonly rows: string;
  readonly steps: string;
  /** Columns of the cache and tokens per row, int64 [2]. Scores are split with them. */
  readonly lengths: string;
  /** Returns what is added to the scores [B, kv, g*S, C + S] of an attention with this window. */
  readonly biasFor: (window: AttentionSite['window']) => string;
  /** Whether tokens are rows of a matrix [B*S, D]; otherwise they are [B, S, D]. */
  readonly flat: boolean;
}

/** Replaces an attention operator by attention over the cache. @returns the step's key and value [B, kv, S, hd] */
export function fillAttention(graph: Graph, site: AttentionSite, shape: StepShape): readonly [string, string] {
  const { heads, kvHeads, headSize, layer } = site;
  const rotation = rotationOf(graph, site);
  graph.removeNodes(new Set([site.node]));
  for (const part of ['key', 'value'] as const) {
    graph.inputs.set(pastName(layer, part), { type: 'float32', dims: ['B', kvHeads, 'C', headSize] });
  }
  const sources = [rotation?.query ?? site.query, rotation?.key ?? site.key, site.value];
  const joined = unsplit(graph, sources) ?? graph.add('Concat', sources, { attributes: { axis: { i: -1 } } });
  const headShape = graph.add('Concat', [shape.rows, shape.steps, graph.int64([heads + 2 * kvHeads, headSize])], {
    attributes: { axis: { i: 0 } },
  });
  const byHead = transposed(graph, graph.add('Reshape', [joined, headShape]));
  const [query, key, value] = rotation
    ? rotated(graph, byHead, rotation, site)
    : split(graph, byHead, [heads, kvHeads, kvHeads]);
  const stacked = graph.add('Reshape', [query as string, graph.int64([0, kvHeads, -1, headSize])]);
  const scores = (keys: string): string =>
    graph.add('FusedMatMul', [stacked, keys], {
      domain: microsoft,
      attributes: { transB: { i: 1 }, alpha: { f: site.scale } },
    });
  const all = graph.add('Concat', [scores(pastName(layer, 'key')), scores(key as string)], {
    attributes: { axis: { i: 3 } },
  });
  const biased = graph.add('Add', [capScores(graph, all, site.softcap), shape.biasFor(site.window)]);
  const weights = graph.add('Softmax', [biased], { attributes: { axis: { i: 3 } } });
  const [onPast, onStep] = [graph.freshName('past_weights'), graph.freshName('step_weights')];
  graph.add('Split', [weights, shape.lengths], { attributes: { axis: { i: 3 } }, outputs: [onPast, onStep] });
  const mixed = graph.add('Add', [
    graph.add('MatMul', [onPast, pastName(layer, 'value')]),
    graph.add('MatMul', [onStep, value as string]),
  ]);
  const byToken = transposed(graph, graph.add('Reshape', [mixed, graph.int64([0, heads, -1, headSize])]));
  const target = shape.flat ? [-1, heads * headSize] : [0, 0, heads * headSize];
  graph.add('Reshape', [byToken, graph.int64(target)], { outputs: [site.output] });
  return [key as string, value as string];
}

function rotated(graph: Graph, byHead: string, rotation: Rotation, { heads, kvHeads }: AttentionSite): string[] {
  const [turning, value] = split(graph, byHead, [heads + kvHeads, kvHeads]) as [string, string];
  const turned = graph.add('RotaryEmbedding', [turning, ...rotation.inputs], {
    domain: microsoft,
    attributes: rotation.attributes,
  });
  return [...split(graph, turned, [heads, kvHeads]), value];
}

/** Splits a value along its heads. */
function split(graph: Graph, value: string, counts: readonly number[]): string[] {
  const outputs = counts.map(() => graph.freshName('heads'));
  graph.add('Split', [value, graph.int64(counts)], { attributes: { axis: { i: 1 } }, outputs });
  return outputs;
}

/** Swaps the axes of heads and tokens. */
function transposed(graph: Graph, value: string): string {
  return graph.add('Transpose', [value], { attributes: { perm: { is: [0, 2, 1, 3] } } });
}
