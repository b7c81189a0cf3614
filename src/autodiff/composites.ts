/**
 * Operators of Hone's own (domain `hone`), each in place of several plain ones: the reverse pass sees one node with a
 * short exact rule. {@link expandComposites} turns them into plain ONNX before anything runs.
 */

import { Graph, type Node } from '../onnx/index.js';

const honeDomain = 'hone';
/** (logits [N, V], targets [N] int64) -> (log-softmax at the target [N], log-softmax [N, V]) */
export const tokenLogProbability = `${honeDomain}.TokenLogProbability`;
/** (g, u of equal shapes) -> g * sigmoid(g) * u */
export const swiGlu = `${honeDomain}.SwiGlu`;
/** x -> x; no gradient flows through it. */
export const detach = `${honeDomain}.Detach`;

/** Adds a {@link tokenLogProbability} node; returns the name of the [N] output. */
export function addTokenLogProbability(graph: Graph, logits: string, targets: string): string {
  return graph.add('TokenLogProbability', [logits, targets], {
    domain: honeDomain,
    outputs: [graph.freshName('token_logprob'), graph.freshName('log_softmax')],
  });
}

/** Adds a {@link detach} node; returns the name of its output. */
export function addDetach(graph: Graph, value: string): string {
  return graph.add('Detach', [value], { domain: honeDomain });
}

/**
 * Replaces each `(g * Sigmoid(g)) * u` by one {@link swiGlu} if no other node reads its parts. The gradient then needs
 * g and u only, so two values of the layer's width need not be kept.
 * @param widths the values that g and u may be, with the size of their last axis; both must have the same, because the
 * rule does not broadcast
 */
export function fuseSwiGlu(graph: Graph, widths: ReadonlyMap<string, number>): void {
  const producers = graph.producers();
  const consumers = graph.consumers();
  const only = (value: string | undefined): Node | undefined => {
    const readers = consumers.get(value ?? '') ?? [];
    return readers.length === 1 && !graph.outputs.has(value ?? '') ? readers[0] : undefined;
  };
  for (const sigmoid of graph.nodes.filter(({ op }) => op === 'Sigmoid')) {
    const [g] = sigmoid.inputs as [string];
    const [s] = sigmoid.outputs as [string];
    const activation = only(s);
    const product = only(activation?.outputs[0]);
    if (!widths.has(g) || activation?.op !== 'Mul' || product?.op !== 'Mul') continue;
    const u = product.inputs.find((input) => input !== activation.outputs[0]);
    if (!activation.inputs.includes(g) || u === undefined || !producers.has(u)) continue;
    if (widths.get(u) !== widths.get(g)) continue;
    graph.replaceNode(product, [
      {
        name: product.name,
        op: 'SwiGlu',
        domain: honeDomain,
        inputs: [g, u],
        outputs: product.outputs,
        attributes: {},
      },
    ]);
    graph.removeNodes(new Set([sigmoid, activation]));
  }
}

/** A copy of the graph with plain ONNX in place of every composite; the names of values stay. */
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
  } else if (node.op === 'SwiGlu') {
    const [g, u] = node.inputs as [string, string];
    pieces.add('Sigmoid', [g], { outputs: [`${output}.sigmoid`] });
    pieces.add('Mul', [g, `${output}.sigmoid`], { outputs: [`${output}.gate`] });
    pieces.add('Mul', [`${output}.gate`, u], { outputs: [output] });
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
