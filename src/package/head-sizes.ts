/**
 * Writes the size of a head into the shapes of the cache where the file leaves it open. Exporters of ONNX Runtime
 * GenAI name that dimension (`kv_cache_dim`), because a quantised cache packs several numbers into one.
 */

import { type Graph, type Node, numberAttribute } from '../onnx/index.js';

/**
 * Fixes the last dimension of past and present of an attention operator. The size follows from the weights: the product
 * that reads the attention's output has `num_heads * size` input features. The shapes stay as they are if no such
 * product reads it, and the operator is refused later.
 */
export function fixHeadSize(graph: Graph, node: Node, consumers: ReadonlyMap<string, readonly Node[]>): void {
  const [output = '', presentKey = '', presentValue = ''] = node.outputs;
  const pasts = [node.inputs[3] ?? '', node.inputs[4] ?? ''];
  if (!pasts.some((name) => typeof graph.inputs.get(name)?.dims[3] === 'string')) return;
  const size = widthOfProducts(graph, output, consumers.get(output) ?? []) / numberAttribute(node, 'num_heads', 0);
  if (!Number.isInteger(size) || size < 1) return;
  for (const [values, names] of [
    [graph.inputs, pasts],
    [graph.outputs, [presentKey, presentValue]],
  ] as const) {
    for (const name of names) {
      const info = values.get(name);
      if (info?.dims.length !== 4 || typeof info.dims[3] !== 'string') continue;
      values.set(name, { ...info, dims: info.dims.with(3, size) });
    }
  }
}

/** Returns the number of input features of the products that read a value; NaN unless they exist and agree. */
function widthOfProducts(graph: Graph, value: string, readers: readonly Node[]): number {
  const widths = readers.map((reader) => {
    if (reader.inputs[0] !== value) return Number.NaN;
    if (reader.op === 'MatMulNBits') return numberAttribute(reader, 'K', Number.NaN);
    const dims = reader.op === 'MatMul' ? graph.initializers.get(reader.inputs[1] ?? '')?.dims : undefined;
    return dims?.length === 2 ? (dims[0] as number) : Number.NaN;
  });
  const [width = Number.NaN] = widths;
  return widths.every((one) => one === width) ? width : Number.NaN;
}
