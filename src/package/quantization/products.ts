/**
 * Reads products by quantised weights, which are `MatMulNBits` of com.microsoft, for the variants of a graph.
 *
 * In serving, the kernel may quantise activations to 8 bits too (accuracy level 4), because integer products are fast.
 */

import { type Graph, microsoft, type Node, numberAttribute } from '../../onnx/index.js';
import { isModuleWeight, moduleOf } from '../module-names.js';

/** A product by a quantised weight, with the defaults of absent attributes filled in. */
export interface QuantizedProduct {
  /** Module path, if the weight (`<module>.weight_Q8`) or the node is named after the module; `null` otherwise. */
  readonly module: string | null;
  /** The initializer that holds the codes. */
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

const integerAccuracy = 4;

/** Matches the name of a quantised weight, which onnxruntime's own quantiser writes in the same way. */
const quantizedName = /^(.+)\.weight_Q\d+$/;

/** Returns the module's name in the float32 model, so that the same adapters fit both. */
function moduleOfWeight(weight: string, node: Node): string | null {
  const module = quantizedName.exec(weight)?.[1] ?? null;
  if (module !== null && isModuleWeight(`${module}.weight`)) return module;
  return moduleOf(node) ?? module;
}

/** Returns a node as a product by a quantised weight of 4 or 8 bits, or undefined if it is something else. */
export function quantizedProduct(graph: Graph, node: Node): QuantizedProduct | undefined {
  const weight = node.inputs[1] ?? '';
  if (node.op !== 'MatMulNBits' || node.domain !== microsoft || !graph.initializers.has(weight)) return undefined;
  const bits = numberAttribute(node, 'bits', 4);
  if (bits !== 4 && bits !== 8) return undefined;
  return {
    module: moduleOfWeight(weight, node),
    weight,
    inFeatures: numberAttribute(node, 'K', 0),
    outFeatures: numberAttribute(node, 'N', 0),
    bits,
    blockSize: numberAttribute(node, 'block_size', 0),
  };
}

/**
 * Lets products by quantised weights, joined ones too, also quantise their input, unless the model sets an accuracy
 * level. Only files of `hone quantize` are changed, which set none and mean this one. Other files keep onnxruntime's
 * default.
 */
export function useIntegerProducts(graph: Graph): void {
  if (graph.producer !== 'hone') return;
  graph.nodes = graph.nodes.map((node) =>
    node.op === 'MatMulNBits' && node.domain === microsoft && node.attributes.accuracy_level === undefined
      ? { ...node, attributes: { ...node.attributes, accuracy_level: { i: integerAccuracy } } }
      : node,
  );
}
