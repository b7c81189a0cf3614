/** Sums, means, and the softmax family. */

import { type Graph, intsAttribute, type Node, numberAttribute } from '../../onnx/index.js';
import {
  emit,
  noGradient,
  outputGradient,
  type RuleContext,
  type RuleLimits,
  type RuleTable,
  rule,
  values,
} from '../rule.js';

function namedAxes(node: Node, graph: Graph): readonly number[] | undefined {
  return node.inputs[1] ? graph.constantInts(node.inputs[1]) : intsAttribute(node, 'axes');
}

const reduction: RuleLimits = {
  attributes: ['axes', 'keepdims', 'noop_with_empty_axes'],
  refuses: (node, graph) => {
    if (node.inputs[1] && namedAxes(node, graph) === undefined) return 'its axes are not constant';
    const empty = (namedAxes(node, graph)?.length ?? 0) === 0;
    return empty && numberAttribute(node, 'noop_with_empty_axes', 0) !== 0 ? 'it reduces nothing' : undefined;
  },
};
const alongAxis: RuleLimits = { attributes: ['axis'] };

/** Axes of a reduction, counted from 0; all axes if the node names none. */
function reducedAxes(c: RuleContext): number[] {
  const rank = c.shape(values(c.node).x).length;
  const named = namedAxes(c.node, c.graph);
  const axes = named?.length ? named : Array.from({ length: rank }, (_, axis) => axis);
  return axes.map((axis) => (axis + rank) % rank);
}

/** Puts the reduced axes of dy back as 1, then repeats it to the shape of x. */
function spread(c: RuleContext, gradient: string): string {
  const { x } = values(c.node);
  const keepsAxes = numberAttribute(c.node, 'keepdims', 1) !== 0;
  const kept = keepsAxes ? gradient : emit(c, 'Unsqueeze', [gradient, c.graph.int64(reducedAxes(c))]);
  return emit(c, 'Expand', [kept, emit(c, 'Shape', [x])]);
}

/** Number of elements that each output of a mean averages, as a float32 scalar. */
function reducedCount(c: RuleContext): string {
  const { x, y } = values(c.node);
  const shape = c.shape(x);
  const dims = reducedAxes(c).map((axis) => shape[axis] ?? null);
  if (dims.every((dim) => dim !== null)) return c.graph.float(dims.reduce<number>((n, dim) => n * (dim as number), 1));
  const ratio = emit(c, 'Div', [emit(c, 'Size', [x]), emit(c, 'Size', [y])]);
  return emit(c, 'Cast', [ratio], { to: { i: 1 } });
}

const lastAxis = (c: RuleContext): number => numberAttribute(c.node, 'axis', -1);

export const reductionRules: RuleTable = {
  // dx = dy, repeated
  ReduceSum: rule((c) => [spread(c, outputGradient(c))], reduction),
  // dx = dy / n, repeated
  ReduceMean: rule((c) => [spread(c, emit(c, 'Div', [outputGradient(c), reducedCount(c)]))], reduction),
  // dx = y * (dy - sum(dy * y))
  Softmax: rule((c) => {
    const { y } = values(c.node);
    const weighted = emit(c, 'Mul', [outputGradient(c), y]);
    const total = emit(c, 'ReduceSum', [weighted, c.graph.int64([lastAxis(c)])]);
    return [emit(c, 'Sub', [weighted, emit(c, 'Mul', [y, total])])];
  }, alongAxis),
  // dx = dy - exp(y) * sum(dy)
  LogSoftmax: rule((c) => {
    const dy = outputGradient(c);
    const total = emit(c, 'ReduceSum', [dy, c.graph.int64([lastAxis(c)])]);
    return [emit(c, 'Sub', [dy, emit(c, 'Mul', [emit(c, 'Exp', [values(c.node).y]), total])])];
  }, alongAxis),
  ArgMax: noGradient,
  ArgMin: noGradient,
};
