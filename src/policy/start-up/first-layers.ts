/**
 * Cuts the first layers out of a package's decoder. A measurement uses them instead of the whole decoder: they have the
 * same operators and weights, but a session for them is created in a fraction of the time.
 */

import type { Graph, Node } from '../../onnx/index.js';
import { newKeyValues } from '../graph/cached-attention.js';
import type { DecodeGraph } from '../graph/decode-graph.js';

/**
 * Returns as many layers as have `minBytes` of weights without the embedding, or the whole decoder if it has no more.
 * Decoding reads every weight once per step. If the model does not fit into the processor's caches, the layers must not
 * fit either.
 */
export function firstLayers({ graph, layers }: DecodeGraph, minBytes: number): Graph {
  if (layers < 3) return graph;
  const one = cutAfter(graph, 1);
  const perLayer = weightBytes(cutAfter(graph, 2)) - weightBytes(one);
  const count = Math.max(1, Math.ceil(minBytes / Math.max(1, perLayer)));
  return count >= layers ? graph : cutAfter(graph, count);
}

/** Returns `count` whole layers and the key of the next one, which keeps the output of the last layer in use. */
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
