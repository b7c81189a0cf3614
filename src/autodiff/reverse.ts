/**
 * The reverse pass: walks a graph backwards from a scalar and appends, rule by rule, plain ONNX nodes that compute the
 * gradient with respect to chosen values. The same runtime runs both passes as one graph.
 */

import { HoneError } from '../errors.js';
import { type Graph, type Node, numberAttribute, type ValueShape } from '../onnx/index.js';
import type { GradientRule, RuleContext } from './rule.js';
import { findRule, notDifferentiable } from './rules/index.js';

type Dims = readonly (number | null)[];

/**
 * Appends the gradient of `loss` (a scalar float32) with respect to each value of `wrt` to the graph.
 * @param shapes shapes of every value of the graph (`probeShapes`)
 * @returns the name of the gradient of each value, which has the shape of the value
 * @throws HoneError `OPERATOR_NOT_DIFFERENTIABLE` with the name of an operator between `wrt` and `loss` without a rule
 */
export function appendGradients(
  graph: Graph,
  loss: string,
  wrt: readonly string[],
  shapes: ReadonlyMap<string, ValueShape>,
): Map<string, string> {
  const order = topologicalOrder(graph, loss);
  const carries = carriers(graph, order, wrt, (output) => shapes.get(output)?.type.startsWith('float') === true);
  const pending = new Map<string, string[]>([[loss, [graph.float(1)]]]);
  const sum = (value: string): string | undefined => {
    const parts = pending.get(value);
    if (parts === undefined) return undefined;
    // A chain of Adds, because onnxruntime's Sum takes 1.5 times as long, and an Add may write into one of its inputs.
    const total = parts.reduce((left, right) => graph.add('Add', [left, right]));
    pending.set(value, [total]);
    return total;
  };

  for (const node of order.reverse()) {
    if (!node.outputs.some((output) => carries.has(output) && pending.has(output))) continue;
    const rule = findRule(node, graph);
    if (rule.kind === 'no-gradient') continue;
    checkLimits(node, rule, carries, pending);
    const context = createContext(graph, node, node.outputs.map(sum), carries, shapes);
    const gradients = rule.apply(context);
    for (const [i, gradient] of gradients.entries()) {
      const input = node.inputs[i];
      if (gradient === undefined || input === undefined || !carries.has(input)) continue;
      const output = node.outputs[0] as string;
      const fitted = rule.kind === 'elementwise' ? context.reduceTo(gradient, context.shape(output), input) : gradient;
      const parts = pending.get(input);
      if (parts) parts.push(fitted);
      else pending.set(input, [fitted]);
    }
  }

  return new Map(
    wrt.map((value) => {
      const gradient = sum(value);
      if (gradient === undefined) throw nothingFlows(value);
      return [value, gradient];
    }),
  );
}

/**
 * Checks from the graph alone that {@link appendGradients} would find a rule for every node between `wrt` and `loss`.
 * @throws HoneError `OPERATOR_NOT_DIFFERENTIABLE`
 */
export function checkGradients(graph: Graph, loss: string, wrt: readonly string[]): void {
  const order = topologicalOrder(graph, loss);
  // Types are not known here: the output of a node that reads floats counts as floats, unless it casts to another type.
  const carries = carriers(graph, order, wrt, (_, node) => node.op !== 'Cast' || floatTypes.has(castTo(node)));
  const reaching = new Set([loss]);
  for (const node of order.reverse()) {
    if (!node.outputs.some((output) => reaching.has(output))) continue;
    if (!node.inputs.some((input) => carries.has(input))) continue;
    const rule = findRule(node, graph);
    if (rule.kind === 'no-gradient') continue;
    checkLimits(node, rule, carries, reaching);
    for (const input of node.inputs) if (carries.has(input)) reaching.add(input);
  }
  for (const value of wrt) if (!reaching.has(value)) throw nothingFlows(value);
}

/** `TensorProto.DataType` of float32, float16, float64 and bfloat16. */
const floatTypes: ReadonlySet<number> = new Set([1, 10, 11, 16]);
const castTo = (node: Node): number => numberAttribute(node, 'to', 1);

function nothingFlows(value: string): HoneError {
  return new HoneError(
    'OPERATOR_NOT_DIFFERENTIABLE',
    `no gradient flows from the loss to ${value}, so it would never be trained; serve the model with --learner off`,
  );
}

/** Refuses a node if a gradient comes from an output, or goes to an input, that its rule does not cover. */
function checkLimits(
  node: Node,
  { limits }: Exclude<GradientRule, { kind: 'no-gradient' }>,
  carries: ReadonlySet<string>,
  /** Values that the loss depends on. */
  reaching: { has(value: string): boolean },
): void {
  const { inputs = Number.POSITIVE_INFINITY, outputs = 1 } = limits;
  const input = node.inputs.findIndex((name, i) => i >= inputs && carries.has(name));
  if (input >= 0) throw notDifferentiable(node, `its input ${input} has no gradient rule`);
  const output = node.outputs.findIndex((name, i) => i >= outputs && carries.has(name) && reaching.has(name));
  if (output >= 0) throw notDifferentiable(node, `its output ${output} has no gradient rule`);
}

/** The nodes that the loss needs, each before its readers. */
function topologicalOrder(graph: Graph, loss: string): Node[] {
  const view = graph.clone();
  view.outputs.clear();
  view.outputs.set(loss, null);
  view.prune();
  return view.nodes;
}

/** The values that depend on `wrt` through floats: gradients flow through these only. */
function carriers(
  graph: Graph,
  order: readonly Node[],
  wrt: readonly string[],
  isFloat: (output: string, node: Node) => boolean,
): Set<string> {
  const carries = new Set(wrt);
  for (const node of order) {
    if (!node.inputs.some((input) => carries.has(input)) || findRule(node, graph).kind === 'no-gradient') continue;
    for (const output of node.outputs) {
      if (isFloat(output, node)) carries.add(output);
    }
  }
  return carries;
}

function createContext(
  graph: Graph,
  node: Node,
  outputGradients: readonly (string | undefined)[],
  carries: ReadonlySet<string>,
  shapes: ReadonlyMap<string, ValueShape>,
): RuleContext {
  const shape = (value: string): Dims => {
    const known = shapes.get(value);
    if (!known) throw new HoneError('INTERNAL', `${node.op} ${node.name}: the shape of ${value} was not probed`);
    return known.dims;
  };
  return {
    graph,
    node,
    outputGradients,
    shape,
    needs: (input) => carries.has(node.inputs[input] ?? ''),
    shapeTensor: (value) => {
      const dims = shape(value);
      const unknown = dims.filter((dim) => dim === null).length;
      return unknown <= 1 ? graph.int64(dims.map((dim) => dim ?? -1)) : graph.add('Shape', [value]);
    },
    reduceTo: (gradient, from, value) => reduce(graph, gradient, from, shape(value)),
  };
}

/** Sums over the axes that `to` lacks or has as 1. A dimension that is unknown on both sides counts as the same. */
function reduce(graph: Graph, gradient: string, from: Dims, to: Dims): string {
  const extra = from.length - to.length;
  const leading = Array.from({ length: extra }, (_, axis) => axis);
  const broadcast = to.flatMap((dim, axis) => (dim === 1 && from[axis + extra] !== 1 ? [axis + extra] : []));
  let reduced = gradient;
  if (broadcast.length > 0)
    reduced = graph.add('ReduceSum', [reduced, graph.int64(broadcast)], { attributes: { keepdims: { i: 1 } } });
  if (leading.length > 0)
    reduced = graph.add('ReduceSum', [reduced, graph.int64(leading)], { attributes: { keepdims: { i: 0 } } });
  return reduced;
}
