/** The activations of feed-forward layers, by the names that `transformers` gives them. */

import type { Graph } from '../../onnx/index.js';

const tanhGelu = (graph: Graph, x: string): string =>
  graph.add('Gelu', [x], { attributes: { approximate: { s: 'tanh' } } });
const sigmoidTimes = (graph: Graph, x: string): string => graph.add('Mul', [x, graph.add('Sigmoid', [x])]);

const activations = {
  silu: sigmoidTimes,
  swish: sigmoidTimes,
  gelu: (graph: Graph, x: string) => graph.add('Gelu', [x]),
  gelu_new: tanhGelu,
  gelu_fast: tanhGelu,
  gelu_pytorch_tanh: tanhGelu,
  relu: (graph: Graph, x: string) => graph.add('Relu', [x]),
  relu2: (graph: Graph, x: string) => {
    const positive = graph.add('Relu', [x]);
    return graph.add('Mul', [positive, positive]);
  },
} as const satisfies Record<string, (graph: Graph, x: string) => string>;

export type ActivationName = keyof typeof activations;

export const activationNames = Object.keys(activations) as readonly ActivationName[];

export function isActivation(name: string): name is ActivationName {
  return Object.hasOwn(activations, name);
}

/** Adds the activation of a value and returns the result's name. */
export function addActivation(graph: Graph, name: ActivationName, x: string): string {
  return activations[name](graph, x);
}
