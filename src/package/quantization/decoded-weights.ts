/**
 * Turns quantised products into plain ones for learning, which needs the exact function of the codes and its gradient.
 *
 * The learner decodes the weights once at start into a float32 file, which onnxruntime maps into memory. The system may
 * drop pages of the file and read them again. Decoding in the graph at every use (DequantizeLinear) was slower and took
 * more memory; docs/quantization.md has the figures.
 */

import { copyFile, link, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoneError } from '../../errors.js';
import { type Graph, isExternal, type Node, type Tensor, WeightReader } from '../../onnx/index.js';
import { DataFile } from './data-file.js';
import { type QuantizedProduct, quantizedProduct } from './products.js';

const decodedFile = 'decoded_weights';

/**
 * Replaces each MatMulNBits by a MatMul with the decoded weight `<module>.weight` [in, out], in place.
 * @returns disposes of the folder in which the graph's data now lies; call it once the sessions are created
 * @throws HoneError `MODEL_NOT_TRAINABLE` if a product has a form that onnxruntime's quantiser does not write
 */
export async function decodeQuantizedProducts(graph: Graph): Promise<AsyncDisposable> {
  const products = decodableProducts(graph);
  if (products.length === 0) return { [Symbol.asyncDispose]: async () => undefined };
  const folder = await mkdtemp(join(tmpdir(), 'hone-decoded-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const reader = new WeightReader(graph);
  const file = new DataFile(folder, decodedFile);
  try {
    await linkDataFiles(graph, folder);
    const decoded = new Map<string, string>();
    for (const { node, product } of products) {
      const name = decoded.get(product.weight) ?? decodedName(graph, product);
      if (!decoded.has(product.weight)) {
        graph.initializers.set(name, await decodeWeight(graph, { node, product }, reader, file));
        decoded.set(product.weight, name);
      }
      readDecoded(graph, node, name);
    }
    graph.directory = folder;
    graph.prune();
  } catch (error) {
    await remove();
    throw error;
  } finally {
    await reader.close();
    await file.close();
  }
  return { [Symbol.asyncDispose]: remove };
}

/**
 * Returns the graph that {@link decodeQuantizedProducts} makes, but with types and shapes of the weights only, and no
 * values. Returns the source itself if it has no such products.
 * @throws HoneError as {@link decodeQuantizedProducts} does
 */
export function withUndecodedWeights(source: Graph): Graph {
  const products = decodableProducts(source);
  if (products.length === 0) return source;
  const graph = source.clone();
  const decoded = new Map<string, string>();
  for (const { node, product } of products) {
    const { weight, inFeatures, outFeatures } = product;
    const name = decoded.get(weight) ?? decodedName(graph, product);
    decoded.set(weight, name);
    const data = { location: decodedFile, offset: 0, length: 4 * inFeatures * outFeatures };
    graph.initializers.set(name, { type: 'float32', dims: [inFeatures, outFeatures], data });
    readDecoded(graph, node, name);
  }
  graph.prune();
  return graph;
}

interface DecodableProduct {
  readonly node: Node;
  readonly product: QuantizedProduct;
}

function decodableProducts(graph: Graph): DecodableProduct[] {
  return graph.nodes.flatMap((node) => {
    const product = quantizedProduct(graph, node);
    if (product === undefined) return [];
    const [, codes = '', scales = '', points = '', order = ''] = node.inputs;
    if (order !== '') throw unsupported(node, 'an order of its input features (g_idx)');
    const expected = { [codes]: 'uint8', [scales]: 'float32', ...(points === '' ? {} : { [points]: 'uint8' }) };
    for (const [name, type] of Object.entries(expected)) {
      const tensor = graph.initializers.get(name);
      if (tensor?.type !== type) throw unsupported(node, `${name} as ${tensor?.type ?? 'a value that is computed'}`);
    }
    return [{ node, product }];
  });
}

/** Makes the package's data files available in the folder of the new one. */
async function linkDataFiles({ directory, initializers }: Graph, folder: string): Promise<void> {
  const locations = new Set<string>();
  for (const { data } of initializers.values()) if (isExternal(data)) locations.add(data.location);
  for (const location of locations) {
    const [from, to] = [join(directory ?? '', location), join(folder, location)];
    // A hard link shares the page cache with the server; another file system needs a copy.
    await link(from, to).catch(() => copyFile(from, to));
  }
}

/** Returns the name that the weight had before it was quantised, or a new one if that is taken. */
function decodedName(graph: Graph, { module, weight }: QuantizedProduct): string {
  const name = `${module}.weight`;
  return module === null || graph.initializers.has(name) ? graph.freshName(`${weight}.decoded`) : name;
}

function readDecoded(graph: Graph, node: Node, weight: string): void {
  const [input, , , , , bias = ''] = node.inputs as [string, ...string[]];
  const [output] = node.outputs as [string];
  const product = bias === '' ? output : graph.freshName(`${weight}.product`);
  const nodes: Node[] = [
    { name: node.name, op: 'MatMul', domain: '', inputs: [input, weight], outputs: [product], attributes: {} },
  ];
  if (bias !== '') {
    const name = `${node.name}/bias`;
    nodes.push({ name, op: 'Add', domain: '', inputs: [product, bias], outputs: [output], attributes: {} });
  }
  graph.replaceNode(node, nodes);
}

/** W [in, out] in float32. */
async function decodeWeight(
  graph: Graph,
  { node, product }: DecodableProduct,
  reader: WeightReader,
  file: DataFile,
): Promise<Tensor> {
  const { weight, inFeatures, outFeatures, bits, blockSize } = product;
  const [, , scaleName = '', pointName = ''] = node.inputs;
  const blocks = Math.ceil(inFeatures / blockSize);
  const pointBytes = Math.ceil((blocks * bits) / 8);
  const read = (name: string, length: number): Promise<Uint8Array> =>
    reader.bytes(graph.initializers.get(name) as Tensor, 0, length);
  const codes = await read(weight, (outFeatures * blocks * blockSize * bits) / 8);
  const scales = new Float32Array((await read(scaleName, 4 * outFeatures * blocks)).buffer);
  const points = pointName === '' ? null : await read(pointName, outFeatures * pointBytes);

  /** Returns the decoded rows of one block at a time. */
  function* pieces(): Generator<Uint8Array> {
    for (let block = 0; block < blocks; block++) {
      const count = Math.min(blockSize, inFeatures - block * blockSize);
      const piece = new Float32Array(count * outFeatures);
      for (let out = 0; out < outFeatures; out++) {
        const scale = scales[out * blocks + block] as number;
        const zero = points === null ? 2 ** (bits - 1) : unpack(points, out * pointBytes * (8 / bits) + block, bits);
        const start = (out * blocks + block) * blockSize;
        for (let i = 0; i < count; i++) piece[i * outFeatures + out] = (unpack(codes, start + i, bits) - zero) * scale;
      }
      yield new Uint8Array(piece.buffer);
    }
  }
  return file.stream('float32', [inFeatures, outFeatures], 4 * inFeatures * outFeatures, pieces());
}

/** Returns one of several packed values. Two of 4 bits share a byte, the first in the low half. */
function unpack(bytes: Uint8Array, index: number, bits: 4 | 8): number {
  return bits === 8 ? (bytes[index] as number) : ((bytes[index >> 1] as number) >> (4 * (index & 1))) & 15;
}

function unsupported(node: Node, what: string): HoneError {
  return new HoneError(
    'MODEL_NOT_TRAINABLE',
    `MatMulNBits ${node.name} has ${what}, through which Hone cannot learn; quantise the float32 model with ` +
      'hone quantize, or serve with --learner off',
  );
}
