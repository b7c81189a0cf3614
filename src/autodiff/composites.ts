/**
 * Operators of Hone's own (domain `hone`) that stand for several plain ones: the reverse pass sees one step with a short
 * exact rule, and {@link expandComposites} turns them into plain ONNX before anything runs.
 */

import { Graph, type Node } from '../onnx/index.js';

export const honeDomain = 'hone';
/** (logits [N, V], targets [N] int64) -> (log-softmax at the target [N], log-softmax [N, V]) */
export const tokenLogProbability = `${honeDomain}.TokenLogProbability`;
/** x -> x, through which no gradient flows. */
export const detach = `${honeDomain}.Detach`;

/** Adds a {@link tokenLogProbability} node; returns the name of the [N] output. */
export function addTokenLogProbability(graph: Graph, logits: string, targets: string): string {
  return graph.add('TokenLogProbability', [logits, targets], {
    domain: honeDomain,
    outputs: [graph.freshName('token_logprob'), graph.freshName('log_softmax')],
  });
}

/** Adds a {@link detach} node. */
export function addDetach(graph: Graph, value: string): string {
  return graph.add('Detach', [value], { domain: honeDomain });
}

/** A copy of the graph in which every composite is plain ONNX; names of values stay. */
export function expandComposites(graph: Graph): Graph {
  const expanded = graph.clone();
  for (const node of graph.nodes) {
    if (node.domain === honeDomain) expanded.replaceNode(node, expansion(expanded, node));
  }
  return expanded;
}

function expansion(graph: Graph, node: Node): readonly Node[] {
  const pieces = new Graph();
  const [output, second] = node.outputs as [string, string];
  if (node.op === 'Detach') {
    pieces.add('Identity', node.inputs, { outputs: [output] });
  } else {
    const [logits, targets] = node.inputs as [string, string];
    const column = graph.int64([1]);
    pieces.add('LogSoftmax', [logits], { attributes: { axis: { i: 1 } }, outputs: [second] });
    pieces.add('Unsqueeze', [targets, column], { outputs: [`${output}.rows`] });
    pieces.add('GatherElements', [second, `${output}.rows`], {
      attributes: { axis: { i: 1 } },
      outputs: [`${output}.column`],
    });
    pieces.add('Squeeze', [`${output}.column`, column], { outputs: [output] });
  }
  return pieces.nodes;
}
