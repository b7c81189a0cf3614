/**
 * Makes Gemm a MatMul and an Add, the form in which linear layers get adapters. Gemm takes matrices only, so exporters put
 * the tokens of all rows into one matrix before it and apart again behind it, which MatMul needs not.
 */

import { type Graph, type Node, numberAttribute } from '../../onnx/index.js';
import type { ProbedDims } from './fold-shapes.js';

/** Replaces each Gemm by a constant matrix in place. @param dims of what Reshape reads and computes */
export function multiplyRows(graph: Graph, dims: ProbedDims): void {
  const producers = graph.producers();
  const consumers = graph.consumers();
  for (const node of [...graph.nodes]) {
    if (!isPlain(graph, node)) continue;
    const [matrix = '', weight = '', bias = ''] = node.inputs;
    const [output = ''] = node.outputs;
    const joined = producers.get(matrix);
    const [apart, another] = consumers.get(output) ?? [];
    const input = joined?.op === 'Reshape' ? (joined.inputs[0] as string) : '';
    const result = apart?.op === 'Reshape' && another === undefined ? (apart.outputs[0] as string) : '';
    const widths = graph.initializers.get(weight)?.dims ?? [];
    const keepsTokens =
      dims.get(input)?.every((from, i) => isProduct(from, dims.get(result)?.[i] ?? [], widths)) ?? false;
    const [read, written] = keepsTokens ? [input, result] : [matrix, output];
    const product = bias === '' ? written : graph.freshName('product');
    graph.removeNodes(new Set(keepsTokens && apart !== undefined ? [apart] : []));
    graph.replaceNode(node, [{ ...node, op: 'MatMul', inputs: [read, weight], outputs: [product], attributes: {} }]);
    if (bias !== '') graph.add('Add', [product, bias], { outputs: [written] });
  }
}

/** Whether a node is x W + b with a constant W of the shape [in, out]. */
function isPlain(graph: Graph, node: Node): boolean {
  const isPlainSum = numberAttribute(node, 'alpha', 1) === 1 && numberAttribute(node, 'beta', 1) === 1;
  const isTurned = numberAttribute(node, 'transA', 0) !== 0 || numberAttribute(node, 'transB', 0) !== 0;
  return (
    node.op === 'Gemm' && node.domain === '' && isPlainSum && !isTurned && graph.initializers.has(node.inputs[1] ?? '')
  );
}

/** Whether shapes are [B, S, in] and [B, S, out]. */
function isProduct(from: readonly number[], to: readonly number[], [inner, outer]: readonly number[]): boolean {
  const [rows, tokens, width] = from;
  return from.length === 3 && width === inner && to.join() === [rows, tokens, outer].join();
}
