/**
 * Makes a graph whose numbers are in other forms one in float32, with products by quantised weights (MatMulNBits) where
 * the file has weights in codes. The graph computes what the file's does, and has the file's operators otherwise.
 */

import { type Graph, isExternal, isFloatType, microsoft, type Node, WeightReader } from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import type { PlannedWeight } from '../weights/planned-weights.js';
import { convertBnb4 } from './bits-and-bytes.js';
import { convertBlockWeights, isForeignBlocks } from './block-weights.js';
import { convertDequantized } from './dequantized-weights.js';
import { useFloat32 } from './float-types.js';
import { convertIntegerProducts } from './integer-products.js';
import { NumberBook } from './number-book.js';

export interface ConvertedNumbers extends AsyncDisposable {
  /** Its initializers are pending until `writeModel` has written the weights. */
  readonly graph: Graph;
  /** Read from the file while they are written. */
  readonly weights: readonly PlannedWeight[];
}

/** Operators that quantise or decode. */
const quantizing: ReadonlySet<string> = new Set([
  'MatMulBnb4',
  'MatMulInteger',
  'MatMulIntegerToFloat',
  'ConvInteger',
  'DequantizeLinear',
  'QuantizeLinear',
  'DynamicQuantizeLinear',
  'DynamicQuantizeMatMul',
  'DynamicQuantizeLSTM',
  'QAttention',
  'QEmbedLayerNormalization',
  'QGemm',
  'QMoE',
  'QOrderedMatMul',
]);

function isQuantizing({ op }: Node): boolean {
  return quantizing.has(op) || op.startsWith('QLinear');
}

/**
 * Returns why a graph must be converted before it is served, as the object of "has", or null if its numbers are those
 * that Hone computes with.
 */
export function needsConversion(graph: Graph): string | null {
  const quantized = graph.nodes.find((node) => isQuantizing(node) || isForeignBlocks(graph, node));
  if (quantized !== undefined) return `weights in the form of ${quantized.op}`;
  for (const [name, { type, dims }] of graph.initializers) {
    // A scalar of float64 is read where it stands.
    const isRead = !isFloatType(type) || type === 'float32' || (type === 'float64' && dims.length <= 1);
    if (!isRead || type === 'uint4' || type === 'int4') return `numbers in ${type} (${name})`;
  }
  for (const [name, info] of [...graph.inputs, ...graph.outputs]) {
    if (info !== null && isFloatType(info.type) && info.type !== 'float32') return `numbers in ${info.type} (${name})`;
  }
  const cast = graph.nodes.find(({ op, attributes }) => {
    const to = attributes.to !== undefined && 'i' in attributes.to ? attributes.to.i : 0;
    return op === 'Cast' && (to === 10 || to === 16);
  });
  return cast === undefined ? null : `a Cast to 16 bits (${cast.name})`;
}

/**
 * Returns the converted graph. The source stays as it is. Dispose of the result after the weights are written.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for numbers in a form that is not understood, with the node
 */
export async function convertNumbers(source: Graph): Promise<ConvertedNumbers> {
  const graph = source.clone();
  const reader = new WeightReader(source);
  try {
    graph.prune();
    const book = new NumberBook(graph, reader);
    await convertIntegerProducts(book);
    convertBnb4(book);
    convertBlockWeights(book);
    await convertDequantized(book);
    graph.prune();
    const left = graph.nodes.find(isQuantizing);
    if (left !== undefined) {
      throw refuseNode(
        left,
        'it computes with quantised activations, or with weights in a form that Hone does not read',
        'take the float32, float16 or q4 form of this model',
      );
    }
    if (!graph.opsets.has(microsoft)) graph.opsets.set(microsoft, 1);
    useFloat32(book);
    // An initializer may have the place of a planned tensor whose own name nothing reads.
    const places = new Set([...graph.initializers.values()].map(({ data }) => isExternal(data) && data.location));
    const weights = book.weights.filter(({ tensors }) => tensors.some(({ name }) => places.has(name)));
    return { graph, weights, [Symbol.asyncDispose]: () => reader.close() };
  } catch (error) {
    await reader.close();
    throw error;
  }
}
