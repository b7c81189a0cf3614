/** Tells whether a graph has numbers in forms that Hone does not compute with. */

import { type Graph, isFloatType, microsoft, type Node, numberAttribute } from '../../onnx/index.js';

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

/** Whether an operator quantises or decodes. */
export function isQuantizing({ op }: Node): boolean {
  return quantizing.has(op) || op.startsWith('QLinear');
}

/** Whether a node has quantised weights in blocks of another form than those that Hone serves. */
export function isForeignBlocks(graph: Graph, node: Node): boolean {
  if (node.domain !== microsoft) return false;
  const typeOf = (index: number) => graph.initializers.get(node.inputs[index] ?? '')?.type;
  if (node.op === 'MatMulNBits') return numberAttribute(node, 'bits', 4) === 2 || isFloatType(typeOf(3));
  return node.op === 'GatherBlockQuantized' && (typeOf(0) === 'uint4' || typeOf(0) === 'int4');
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
