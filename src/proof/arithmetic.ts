/** How exactly a file computes, which bounds how far a right computation may be from it. In nats of a log-probability. */

import type { Graph, Node } from '../onnx/index.js';

/** Sums in another order. */
const single = 2e-3;
/** Numbers of 16 bits; what counts is the positions, from which exports compute rotations in them too. */
const half = 0.3;
/** Activations that are rounded to 8 bits: a difference in the last digit of one can move it by a whole step. */
const rounded = 0.5;

/** The difference that may be rounding. */
export function toleranceFor(graph: Graph): number {
  return graph.nodes.some((node) => roundsActivations(graph, node)) ? rounded : isHalf(graph) ? half : single;
}

function roundsActivations({ producer }: Graph, { op, attributes }: Node): boolean {
  if (op === 'MatMulNBits') {
    const { accuracy_level: level } = attributes;
    // Products that Hone quantised are served as integer products.
    return producer === 'hone' || (level !== undefined && 'i' in level && level.i === 4);
  }
  return /^(?:DynamicQuantize|MatMulInteger|QLinear)/.test(op);
}

function isHalf({ initializers, inputs, outputs }: Graph): boolean {
  const values = [...initializers.values(), ...inputs.values(), ...outputs.values()];
  return values.some((value) => value?.type === 'float16' || value?.type === 'bfloat16');
}
