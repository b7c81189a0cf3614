/**
 * The training variant of a package's graph with adapters, from which the onnx engine derives its graphs; and the check
 * that it can. A server checks at start, so this file imports no session and no engine.
 */

import { checkGradients, fuseSwiGlu } from '../../autodiff/index.js';
import type { Graph } from '../../onnx/index.js';
import { adapterInputA, adapterInputB, attachAdapters, findLinears, type LinearSite } from '../../package/lowering.js';
import { withUndecodedWeights } from '../../package/quantization/decoded-weights.js';
import { findTrainableLinears } from '../../package/trainable-linears.js';
import { addLinearForm, surrogate } from './losses.js';
import { toTrainingGraph } from './training-graph.js';

/**
 * Checks from the graph alone that the engine's graphs can be derived: no weight is decoded and nothing is run.
 * @param source the package's graph, quantised products included
 * @throws HoneError `MODEL_NOT_TRAINABLE`, `OPERATOR_NOT_DIFFERENTIABLE`, `OPERATOR_UNSUPPORTED`
 */
export function checkDerivable(source: Graph): void {
  // Search the package's own graph, so that an error names weights as the file does.
  const trained = new Set(findTrainableLinears(source).map(({ module }) => module));
  const plain = withUndecodedWeights(source);
  const linears = findLinears(plain).filter(({ module }) => trained.has(module));
  const graph = adapt(plain, linears, { rank: 1, scale: 1 });
  addLinearForm(graph);
  checkGradients(graph, surrogate, matricesOf(linears));
}

/** The training variant of a package's graph, with adapters on the given linear layers. */
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

/** The names of the adapter matrices: the values that get gradients. */
export function matricesOf(linears: readonly LinearSite[]): string[] {
  return linears.flatMap(({ module }) => [adapterInputA(module), adapterInputB(module)]);
}
