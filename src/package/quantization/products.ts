/**
 * Products by quantised weights, `MatMulNBits` of com.microsoft: what variants of a graph need to know of them.
 *
 * Serving lets the kernel quantise activations to 8 bits as well (accuracy level 4): products of integers are what makes
 * it fast.
 */

import { type Graph, microsoft, type Node, numberAttribute } from '../../onnx/index.js';
import { isModuleWeight, moduleOfNode } from '../module-names.js';

/** The operator's attributes, complete. */
export interface QuantizedProduct {
  /** Module path, if the weight (`<module>.weight_Q8`) or the node is named after it; null otherwise. */
  readonly module: string | null;
  /** The initializer that holds the codes. */
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

const integerAccuracy = 4;

/** How a module stands in the name of a weight, as onnxruntime's own quantiser writes it too. */
const quantizedName = /^(.+)\.weight_Q\d+$/;

/** The same name that the module has while it is not quantised, so that adapters fit both. */
function moduleOf(weight: string, node: string): string | null {
  const module = quantizedName.exec(weight)?.[1] ?? null;
  if (module !== null && isModuleWeight(`${module}.weight`)) return module;
  return moduleOfNode(node) ?? module;
}

/** The node as a product by a quantised weight of 4 or 8 bits; undefined when it is none. */
export function quantizedProduct(graph: Graph, node: Node): QuantizedProduct | undefined {
  const weight = node.inputs[1] ?? '';
  if (node.op !== 'MatMulNBits' || node.domain !== microsoft || !graph.initializers.has(weight)) return undefined;
  const bits = numberAttribute(node, 'bits', 4);
  if (bits !== 4 && bits !== 8) return undefined;
  return {
    module: moduleOf(weight, node.name),
    weight,
    inFeatures: numberAttribute(node, 'K', 0),
    outFeatures: numberAttribute(node, 'N', 0),
    bits,
    blockSize: numberAttribute(node, 'block_size', 0),
  };
}

/**
 * Lets products by quantised weights, joined ones too, quantise their input as well, unless the model says how they
 * should be computed. Files that `hone quantize` wrote say nothing and mean this; any other file means what onnxruntime
 * makes of it.
 */
export function useIntegerProducts(graph: Graph): void {
  if (graph.producer !== 'hone') return;
  graph.nodes = graph.nodes.map((node) =>
    node.op === 'MatMulNBits' && node.domain === microsoft && node.attributes.accuracy_level === undefined
      ? { ...node, attributes: { ...node.attributes, accuracy_level: { i: integerAccuracy } } }
      : node,
  );
}
