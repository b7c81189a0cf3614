/**
 * Products by quantised weights, `MatMulNBits` of com.microsoft: what variants of a graph need to know of them.
 *
 * Serving lets the kernel quantise activations to 8 bits as well (accuracy level 4): products of integers are what makes
 * it fast. Learning needs the exact function and its gradient, so there the weights are decoded from the same bytes:
 * `Y = X W^T`, W = DequantizeLinear(codes), which the reverse pass differentiates like any other product.
 */

import { HoneError } from '../../errors.js';
import { type Graph, microsoft, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { WeightReader } from './weight-source.js';

/** The operator's attributes, complete. */
export interface QuantizedProduct {
  /** Module path, where the weight is named after it (`<module>.weight_Q8`); null otherwise. */
  readonly module: string | null;
  /** The initializer that holds the codes. */
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

const integerAccuracy = 4;
/** DequantizeLinear in blocks came with this version of ai.onnx; from the other on, nothing that decoders use changed. */
const blockedOpset = 21;
const compatibleOpset = 18;

/** How `quantizedProduct` finds a module in the name of a weight, as onnxruntime's own quantiser writes it too. */
const quantizedName = /^(.+)\.weight_Q\d+$/;

/** The node as a product by a quantised weight of 4 or 8 bits; undefined when it is none. */
export function quantizedProduct(graph: Graph, node: Node): QuantizedProduct | undefined {
  const weight = node.inputs[1] ?? '';
  if (node.op !== 'MatMulNBits' || node.domain !== microsoft || !graph.initializers.has(weight)) return undefined;
  const bits = numberAttribute(node, 'bits', 4);
  if (bits !== 4 && bits !== 8) return undefined;
  return {
    module: quantizedName.exec(weight)?.[1] ?? null,
    weight,
    inFeatures: numberAttribute(node, 'K', 0),
    outFeatures: numberAttribute(node, 'N', 0),
    bits,
    blockSize: numberAttribute(node, 'block_size', 0),
  };
}

/** Lets products by quantised weights quantise their input too, unless the model says how they should be computed. */
export function useIntegerProducts(graph: Graph): void {
  graph.nodes = graph.nodes.map((node) =>
    quantizedProduct(graph, node) === undefined || node.attributes.accuracy_level !== undefined
      ? node
      : { ...node, attributes: { ...node.attributes, accuracy_level: { i: integerAccuracy } } },
  );
}

/**
 * Replaces products by quantised weights by DequantizeLinear and a product with the transposed result; the codes are not
 * copied. onnxruntime decodes a weight where it is used and lets go of it afterwards.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for forms of MatMulNBits that onnxruntime's quantiser does not write
 */
export async function decodeQuantizedProducts(graph: Graph): Promise<void> {
  const reader = new WeightReader(graph);
  try {
    await decodeProducts(graph, reader);
  } finally {
    await reader.close();
  }
}

async function decodeProducts(graph: Graph, reader: WeightReader): Promise<void> {
  const decoded = new Map<string, string>();
  for (const node of [...graph.nodes]) {
    const product = quantizedProduct(graph, node);
    if (product === undefined) continue;
    const [input = '', weight = '', , , order = '', bias = ''] = node.inputs;
    if (order !== '') throw unsupported(node, 'an order of its input features (g_idx)');
    if (!decoded.has(weight)) decoded.set(weight, await addDecodedWeight(graph, reader, node, product));
    const [output = ''] = node.outputs;
    const base = bias === '' ? output : graph.freshName(`${weight}.product`);
    const before = graph.nodes.length;
    graph.add('FusedMatMul', [input, decoded.get(weight) as string], {
      domain: microsoft,
      attributes: { transB: { i: 1 } },
      outputs: [base],
    });
    if (bias !== '') graph.add('Add', [base, bias], { outputs: [output] });
    graph.replaceNode(node, graph.nodes.splice(before));
  }
  const opset = graph.opsets.get('') ?? 0;
  if (decoded.size > 0 && opset >= compatibleOpset && opset < blockedOpset) graph.opsets.set('', blockedOpset);
}

/**
 * Lets every product decode its weight for itself. Where two share a decoded weight, as a layer and its gradient do, it
 * would lie in memory from the first to the last of them.
 */
export function decodeForEachUse(graph: Graph): void {
  const consumers = graph.consumers();
  for (const decoder of graph.nodes.filter(({ op }) => op === 'DequantizeLinear')) {
    const [decoded = ''] = decoder.outputs;
    const slice = consumers.get(decoded)?.find(({ op }) => op === 'Slice');
    const [weight = ''] = slice?.outputs ?? decoder.outputs;
    for (const user of consumers.get(weight)?.slice(1) ?? []) {
      // A scale under another name keeps onnxruntime from seeing that both decode the same.
      const [codes, scale, zeroPoint] = decoder.inputs as [string, string, string];
      const otherScale = graph.freshName(scale);
      graph.initializers.set(otherScale, graph.initializers.get(scale) as Tensor);
      let copy = graph.add('DequantizeLinear', [codes, otherScale, zeroPoint], { attributes: decoder.attributes });
      if (slice !== undefined) copy = graph.add('Slice', [copy, ...slice.inputs.slice(1)]);
      graph.replaceUses(weight, copy, (node) => node !== user);
    }
  }
}

/** W [out, in] as float32, decoded at run time. */
async function addDecodedWeight(
  graph: Graph,
  reader: WeightReader,
  node: Node,
  product: QuantizedProduct,
): Promise<string> {
  const { weight, inFeatures, outFeatures, bits, blockSize } = product;
  const [, , scales = '', zeroPoints = ''] = node.inputs;
  const blocks = Math.ceil(inFeatures / blockSize);
  const scaleTensor = graph.initializers.get(scales);
  if (scaleTensor?.type !== 'float32') throw unsupported(node, `scales of type ${scaleTensor?.type ?? 'no constant'}`);
  const type = bits === 4 ? 'uint4' : 'uint8';
  const { data } = graph.initializers.get(weight) as Tensor;
  const codes = graph.freshName(`${weight}.codes`);
  graph.initializers.set(codes, { type, dims: [outFeatures, blocks * blockSize], data });
  const scale = graph.freshName(`${weight}.scale`);
  graph.initializers.set(scale, { ...scaleTensor, dims: [outFeatures, blocks] });
  const zeroPoint = graph.freshName(`${weight}.zero_point`);
  const tensor = graph.initializers.get(zeroPoints);
  if (zeroPoints !== '' && tensor?.type !== 'uint8') {
    throw unsupported(node, `zero points of type ${tensor?.type ?? 'no constant'}`);
  }
  const points = await zeroPointsOf(tensor, product, blocks, reader);
  graph.initializers.set(zeroPoint, { type, dims: [outFeatures, blocks], data: points });
  const whole = graph.add('DequantizeLinear', [codes, scale, zeroPoint], {
    attributes: { axis: { i: 1 }, block_size: { i: blockSize } },
  });
  if (blocks * blockSize === inFeatures) return whole;
  return graph.add('Slice', [whole, graph.int64([0]), graph.int64([inFeatures]), graph.int64([1])]);
}

/** Zero points as DequantizeLinear wants them: rows follow each other without padding. */
async function zeroPointsOf(
  tensor: Tensor | undefined,
  { bits, outFeatures }: QuantizedProduct,
  blocks: number,
  reader: WeightReader,
): Promise<Tensor['data']> {
  // 128 as a byte, or 8 in both halves of one.
  if (tensor === undefined) {
    return new Uint8Array(Math.ceil((outFeatures * blocks * bits) / 8)).fill(bits === 8 ? 0x80 : 0x88);
  }
  if (bits === 8 || blocks % 2 === 0) return tensor.data;
  const rowBytes = (blocks + 1) / 2;
  const padded = await reader.bytes(tensor, 0, outFeatures * rowBytes);
  const packed = new Uint8Array(Math.ceil((outFeatures * blocks) / 2));
  for (let out = 0; out < outFeatures; out++) {
    for (let block = 0; block < blocks; block++) {
      const point = ((padded[out * rowBytes + (block >> 1)] as number) >> (4 * (block & 1))) & 15;
      const at = out * blocks + block;
      packed[at >> 1] = (packed[at >> 1] as number) | (point << (4 * (at & 1)));
    }
  }
  return packed;
}

function unsupported(node: Node, what: string): HoneError {
  return new HoneError(
    'OPERATOR_UNSUPPORTED',
    `MatMulNBits ${node.name} has ${what}, which cannot be learned through; quantise the float32 model with hone quantize, or serve with --learner off`,
  );
}
