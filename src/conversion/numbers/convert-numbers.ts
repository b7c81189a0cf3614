/**
 * Makes a graph whose numbers are in other forms one in float32, with products by quantised weights (MatMulNBits) where
 * the file has weights in codes. The graph computes what the file's does, and has the file's operators otherwise.
 */

import { type Graph, isExternal, microsoft, WeightReader } from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import type { PlannedWeight } from '../weights/planned-weights.js';
import { convertBnb4 } from './bits-and-bytes.js';
import { convertBlockWeights } from './block-weights.js';
import { convertDequantized } from './dequantized-weights.js';
import { useFloat32 } from './float-types.js';
import { convertIntegerProducts } from './integer-products.js';
import { isQuantizing } from './needs-conversion.js';
import { NumberBook } from './number-book.js';

export interface ConvertedNumbers extends AsyncDisposable {
  /** Its initializers are pending until `writeModel` has written the weights. */
  readonly graph: Graph;
  /** Read from the file while they are written. */
  readonly weights: readonly PlannedWeight[];
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
