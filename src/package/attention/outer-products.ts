/**
 * Rotary angles are a product of frequencies and positions. Exporters write it as a matrix product of [B, n, 1] and
 * [B, 1, S], for which they repeat the constant frequencies for each row. The same numbers come from a multiplication with
 * the constant itself, which treats each token by itself.
 */

import type { Graph, Node } from '../../onnx/index.js';
import { constantIntsOf } from '../operators/constants.js';
import type { ProbedDims } from './fold-shapes.js';

/** Replaces such products in place. @param dims of their inputs */
export function multiplyOuter(graph: Graph, dims: ProbedDims): void {
  const producers = graph.producers();
  for (const node of [...graph.nodes]) {
    const [left = '', right = ''] = node.inputs;
    if (node.op !== 'MatMul' || node.domain !== '') continue;
    const column = repeatedConstant(graph, producers, left);
    const isRow = dims.get(right)?.every((shape) => shape.length === 3 && shape[1] === 1) ?? false;
    if (column === undefined || !isRow) continue;
    graph.replaceNode(node, [{ ...node, op: 'Mul', inputs: [column, right] }]);
  }
}

/** Returns the constant [1, n, 1] that a value repeats for each row. */
function repeatedConstant(graph: Graph, producers: ReadonlyMap<string, Node>, value: string): string | undefined {
  const node = producers.get(value);
  const [source = '', shape = ''] = node?.inputs ?? [];
  if (node?.op === 'Identity' || (node?.op === 'Cast' && isFloatCast(node)))
    return repeatedConstant(graph, producers, source);
  const attribute = node?.op === 'Constant' ? node.attributes.value : undefined;
  const tensor =
    graph.initializers.get(value) ?? (attribute !== undefined && 't' in attribute ? attribute.t : undefined);
  if (tensor !== undefined) {
    const [rows, count = 0, columns] = tensor.dims;
    const isColumn = tensor.dims.length === 3 && rows === 1 && count > 1 && columns === 1;
    return isColumn && tensor.type === 'float32' ? value : undefined;
  }
  const isRepeat = node?.op === 'Expand' && repeatsRows(graph, producers, shape);
  return isRepeat ? repeatedConstant(graph, producers, source) : undefined;
}

const isFloatCast = (node: Node): boolean => {
  const to = node.attributes.to;
  return to !== undefined && 'i' in to && to.i === 1;
};

/** Whether a target shape keeps the last axis of [1, n, 1]; it cannot change the one before, which is longer than 1. */
function repeatsRows(graph: Graph, producers: ReadonlyMap<string, Node>, shape: string): boolean {
  const constant = constantIntsOf(graph, producers, shape);
  if (constant !== undefined) return constant.length === 3 && constant[2] === 1;
  const node = producers.get(shape);
  if (node?.op !== 'Concat' || node.inputs.length !== 3) return false;
  return constantIntsOf(graph, producers, node.inputs[2] ?? '')?.[0] === 1;
}
