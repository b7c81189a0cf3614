/**
 * A twin of a decoder whose values have the same shapes, but whose large weights are not there. It runs in milliseconds,
 * however large the model is. Values behind a weight are meaningless in it; masks and positions are not behind any.
 */

import { elementCount, type Graph, microsoft, type Node, numberAttribute } from '../../onnx/index.js';

/** Number of elements. Smaller constants are kept. */
const largestKept = 4096;

/** Returns the twin as a new graph. */
export function shapeTwin(source: Graph): Graph {
  const twin = source.clone();
  for (const node of source.nodes) {
    const replaced = cheapProduct(twin, node) ?? cheapLookup(twin, node);
    if (replaced !== undefined) twin.replaceNode(node, replaced);
  }
  return twin;
}

/** x W becomes the product of one column of x with a row of zeros, which is as wide as W. */
function cheapProduct(twin: Graph, node: Node): Node[] | undefined {
  const width = widthOfProduct(twin, node);
  if (width === undefined) return undefined;
  return within(twin, () => {
    const column = twin.add('Slice', [node.inputs[0] as string, twin.int64([0]), twin.int64([1]), twin.int64([-1])]);
    const row = twin.add('ConstantOfShape', [twin.int64([1, width])]);
    twin.add('MatMul', [column, row], { outputs: [node.outputs[0] as string] });
  });
}

/** Returns the columns of a product's large weight; undefined if the node is none. */
function widthOfProduct(twin: Graph, node: Node): number | undefined {
  if (node.op === 'MatMulNBits' && node.domain === microsoft) return numberAttribute(node, 'N', 0);
  if (!['MatMul', 'Gemm', 'FusedMatMul'].includes(node.op)) return undefined;
  const dims = twin.initializers.get(node.inputs[1] ?? '')?.dims;
  if (dims?.length !== 2 || elementCount(dims) <= largestKept) return undefined;
  return dims[numberAttribute(node, 'transB', 0) === 0 ? 1 : 0];
}

/** A large table becomes its first row, and each index 0. */
function cheapLookup(twin: Graph, node: Node): Node[] | undefined {
  const [table = '', indices = ''] = node.inputs;
  const tensor = twin.initializers.get(table);
  const isPlain = node.op === 'Gather' && numberAttribute(node, 'axis', 0) === 0;
  const isCoded = node.op === 'GatherBlockQuantized' && node.domain === microsoft;
  if (tensor?.dims.length !== 2 || elementCount(tensor.dims) <= largestKept || !(isPlain || isCoded)) return undefined;
  if (isPlain && tensor.type !== 'float32') return undefined;
  const bytes = tensor.dims[1] as number;
  const perByte = tensor.type === 'uint8' ? 8 / numberAttribute(node, 'bits', 4) : 1;
  return within(twin, () => {
    const row = twin.add('ConstantOfShape', [twin.int64([1, isCoded ? bytes * perByte : bytes])]);
    const first = twin.add('Sub', [indices, indices]);
    twin.add('Gather', [row, first], { outputs: [node.outputs[0] as string] });
  });
}

/** Returns the nodes that a function adds to a graph, and takes them out again. */
function within(graph: Graph, add: () => void): Node[] {
  const before = graph.nodes.length;
  add();
  return graph.nodes.splice(before);
}
