/** Makes quantised packages for tests, and float32 packages with exactly the values of their codes. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeModel,
  float32Tensor,
  float32Values,
  type Graph,
  isExternal,
  type Node,
  numberAttribute,
  readModel,
  type Tensor,
} from '../../src/onnx/index.js';
import { quantizePackage } from '../../src/package/index.js';
import type { BlockFormat } from '../../src/package/quantization/blocks.js';
import { temporaryFolder } from './folders.js';

/** Folders of the packages. */
export interface QuantizedFolders {
  readonly quantized: string;
  /** The same function in float32. */
  readonly decoded: string;
}

export async function quantizeForTest(source: string, format: BlockFormat): Promise<QuantizedFolders> {
  const root = temporaryFolder();
  const folders = { quantized: join(root, 'quantized'), decoded: join(root, 'decoded') };
  await quantizePackage(source, folders.quantized, { ...format, head: true });
  const graph = decodedGraph(await readModel(join(folders.quantized, 'onnx/model.onnx')));
  cpSync(source, folders.decoded, { recursive: true });
  writeFileSync(join(folders.decoded, 'onnx/model.onnx'), encodeModel(graph));
  return folders;
}

/** Sets onnxruntime's accuracy level of every product of a package. */
export async function setAccuracy(directory: string, level: number): Promise<void> {
  const path = join(directory, 'onnx/model.onnx');
  const graph = await readModel(path);
  graph.nodes = graph.nodes.map((node) =>
    node.op === 'MatMulNBits' ? { ...node, attributes: { ...node.attributes, accuracy_level: { i: level } } } : node,
  );
  graph.prune();
  writeFileSync(path, encodeModel(graph));
}

/** Decodes one value at a time to float32 [out, in]. Slow but simple, to compare with. */
export function decodeCodes(
  codes: Uint8Array,
  scales: Float32Array,
  { bits, blockSize }: BlockFormat,
  outFeatures: number,
  inFeatures: number,
): Float32Array {
  const blocks = Math.ceil(inFeatures / blockSize);
  return Float32Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [out, i] = [Math.floor(at / inFeatures), at % inFeatures];
    const block = out * blocks + Math.floor(i / blockSize);
    const position = block * blockSize + (i % blockSize);
    const byte = codes[bits === 8 ? position : position >> 1] as number;
    const code = bits === 8 ? byte : position % 2 === 0 ? byte & 15 : byte >> 4;
    return (code - 2 ** (bits - 1)) * (scales[block] as number);
  });
}

function decodedGraph(graph: Graph): Graph {
  for (const node of [...graph.nodes]) {
    if (node.op === 'MatMulNBits') decodeProduct(graph, node);
    else if (node.op === 'GatherBlockQuantized') decodeLookup(graph, node);
  }
  for (const [name, tensor] of graph.initializers) {
    graph.initializers.set(name, { ...tensor, data: bytesOf(graph, tensor) });
  }
  graph.prune();
  return graph;
}

/** Y = X W with W [in, out] under its original name. */
function decodeProduct(graph: Graph, node: Node): void {
  const [input, codes, scales] = node.inputs as [string, string, string];
  const [outFeatures, inFeatures] = [numberAttribute(node, 'N', 0), numberAttribute(node, 'K', 0)];
  const rows = decode(graph, node, codes, scales, outFeatures, inFeatures);
  const values = Float32Array.from(rows, (_, at) => {
    return rows[(at % outFeatures) * inFeatures + Math.floor(at / outFeatures)] as number;
  });
  // The head gets a copy, because the embedding of the same name stays [V, D].
  const name = codes.replace(/_Q\d$/, '').replace('embed_tokens', 'head');
  graph.initializers.set(name, float32Tensor(values, [inFeatures, outFeatures]));
  graph.replaceNode(node, [{ ...node, op: 'MatMul', domain: '', inputs: [input, name], attributes: {} }]);
}

/** Looks up rows of [V, D]. Removes the codes that only fill up the last block, and the node that cuts them off. */
function decodeLookup(graph: Graph, node: Node): void {
  const [codes, indices, scales] = node.inputs as [string, string, string];
  const [rows = 0, rowBytes = 0] = graph.initializers.get(codes)?.dims ?? [];
  const padded = (rowBytes * 8) / numberAttribute(node, 'bits', 0);
  const cut = graph
    .consumers()
    .get(node.outputs[0] as string)
    ?.find(({ op }) => op === 'Slice');
  const width = cut === undefined ? padded : (graph.constantInts(cut.inputs[2] as string)?.[0] as number);
  const values = decode(graph, node, codes, scales, rows, padded).filter((_, at) => at % padded < width);
  const name = `${codes} decoded`;
  graph.initializers.set(name, float32Tensor(values, [rows, width]));
  const { outputs } = cut ?? node;
  if (cut !== undefined) graph.removeNodes(new Set([cut]));
  graph.replaceNode(node, [{ ...node, op: 'Gather', domain: '', inputs: [name, indices], outputs, attributes: {} }]);
}

function decode(graph: Graph, node: Node, codes: string, scales: string, rows: number, width: number): Float32Array {
  const tensor = (name: string): Tensor => {
    const found = graph.initializers.get(name) as Tensor;
    return { ...found, data: bytesOf(graph, found) };
  };
  const format = { bits: numberAttribute(node, 'bits', 0), blockSize: numberAttribute(node, 'block_size', 0) };
  const bytes = tensor(codes).data as Uint8Array;
  return decodeCodes(bytes, float32Values(tensor(scales)), format as BlockFormat, rows, width);
}

function bytesOf(graph: Graph, { data }: Tensor): Uint8Array {
  if (!isExternal(data)) return data;
  const file = readFileSync(join(graph.directory ?? '', data.location));
  return new Uint8Array(file.subarray(data.offset, data.offset + data.length));
}
