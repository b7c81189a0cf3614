/**
 * The beginning of a package's decoder, as a stand-in for all of it: the same operators and weights, but few enough that
 * a session is made in a fraction of the time.
 */

import type { Graph, Node } from '../../onnx/index.js';
import { newKeyValues } from '../graph/cached-attention.js';
import type { DecodeGraph } from '../graph/decode-graph.js';

/**
 * As many layers as hold `minBytes` of weights, the embedding not counted; the whole decoder where that is all of it.
 * Decoding reads every weight once per step, so a model that does not fit the processor's caches wants a beginning that
 * does not either.
 */
export function firstLayers({ graph, layers }: DecodeGraph, minBytes: number): Graph {
  if (layers < 3) return graph;
  const one = cutAfter(graph, 1);
  const perLayer = weightBytes(cutAfter(graph, 2)) - weightBytes(one);
  const count = Math.max(1, Math.ceil(minBytes / Math.max(1, perLayer)));
  return count >= layers ? graph : cutAfter(graph, count);
}

/** `count` whole layers and the key of the next, which needs what they compute. */
function cutAfter(source: Graph, count: number): Graph {
  const graph = source.clone();
  const { inputs: added } = graph.producers().get(newKeyValues) as Node;
  graph.outputs.clear();
  for (const name of added.slice(0, 2 * count + 1)) graph.outputs.set(name, null);
  graph.prune();
  const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  for (const name of graph.inputs.keys()) if (!used.has(name)) graph.inputs.delete(name);
  return graph;
}

function weightBytes(graph: Graph): number {
  let bytes = 0;
  for (const { data } of graph.initializers.values()) bytes += data.length;
  return bytes;
}
