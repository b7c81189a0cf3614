/**
 * The training variant of a package's graph with adapters: what the engine derives its graphs from, and whether it can. It
 * is looked at when a server starts, so it brings no more of the engine than that takes.
 */

import { checkGradients, fuseSwiGlu } from '../../autodiff/index.js';
import type { Graph } from '../../onnx/index.js';
import { adapterInputA, adapterInputB, attachAdapters, findLinears, type LinearSite } from '../../package/lowering.js';
import { withUndecodedWeights } from '../../package/quantization/decoded-weights.js';
import { findTrainableLinears } from '../../package/trainable-linears.js';
import { addLinearForm, surrogate } from './losses.js';
import { toTrainingGraph } from './training-graph.js';

/**
 * Whether the engine's graphs can be derived, told from the graph alone: nothing is decoded, probed or run.
 * @param source the package's graph, quantised products included
 * @throws HoneError `MODEL_NOT_TRAINABLE`, `OPERATOR_NOT_DIFFERENTIABLE`, `OPERATOR_UNSUPPORTED`
 */
export function checkDerivable(source: Graph): void {
  // In the package's own graph, so that a refusal names weights as the file does.
  const trained = new Set(findTrainableLinears(source).map(({ module }) => module));
  const plain = withUndecodedWeights(source);
  const linears = findLinears(plain).filter(({ module }) => trained.has(module));
  const graph = adapt(plain, linears, { rank: 1, scale: 1 });
  addLinearForm(graph);
  checkGradients(graph, surrogate, matricesOf(linears));
}

/** The training variant of a package's graph, whose linear layers take adapters. */
export function adapt(
  source: Graph,
  linears: readonly LinearSite[],
  { rank, scale }: { readonly rank: number; readonly scale: number },
): Graph {
  const graph = toTrainingGraph(source);
  fuseSwiGlu(graph, new Map(linears.map(({ output, outFeatures }) => [output, outFeatures])));
  attachAdapters(graph, linears, rank, scale);
  return graph;
}

/** The adapter matrices: what gradients are made of. */
export function matricesOf(linears: readonly LinearSite[]): string[] {
  return linears.flatMap(({ module }) => [adapterInputA(module), adapterInputB(module)]);
}
