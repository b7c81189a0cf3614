/**
 * Decodes weights of MatMulNBits and GatherBlockQuantized that have a form in which Hone does not compute: zero points
 * that are no integers, 2 bits, and tables of ONNX's 4-bit types. All others stay in codes.
 */

import { decodeFloats, elementCount, isFloatType, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import { plainWeight, type RowSource } from '../weights/planned-weights.js';
import { decodedMatrix } from './decoded-weights.js';
import { floatName } from './integer-products.js';
import { isForeignBlocks } from './needs-conversion.js';
import type { NumberBook } from './number-book.js';
import { readCodes } from './stored-codes.js';

const remedy = 'take the float32, float16 or q4 form of this model';

/** @throws HoneError `OPERATOR_UNSUPPORTED` if sizes do not fit */
export function convertBlockWeights(book: NumberBook): void {
  book.look();
  for (const node of [...book.graph.nodes]) {
    if (!isForeignBlocks(book.graph, node)) continue;
    if (node.op === 'MatMulNBits') decodeProduct(book, node);
    else decodeLookup(book, node);
  }
}

function decodeProduct(book: NumberBook, node: Node): void {
  const [input = '', codesName = '', scalesName = '', pointsName = '', order = '', bias = ''] = node.inputs;
  if (order !== '') throw refuseNode(node, 'its input features have another order (g_idx)', remedy);
  const [K, N, blockSize] = ['K', 'N', 'block_size'].map((name) => numberAttribute(node, name, 0)) as [
    number,
    number,
    number,
  ];
  const bits = numberAttribute(node, 'bits', 4);
  const blocks = Math.ceil(K / blockSize);
  const codes = book.constant(codesName);
  const scales = book.constant(scalesName);
  const points = pointsName === '' ? undefined : book.constant(pointsName);
  const pointCount = points === undefined ? 0 : elementCount(points.dims);
  const packedPoints = N * Math.ceil((blocks * bits) / 8);
  const fits =
    codes?.type === 'uint8' &&
    elementCount(codes.dims) === (N * blocks * blockSize * bits) / 8 &&
    isFloatType(scales?.type) &&
    elementCount(scales?.dims ?? []) === N * blocks &&
    (pointsName === '' ||
      (points?.type === 'uint8' && pointCount === packedPoints) ||
      (isFloatType(points?.type) && pointCount === N * blocks));
  if (!fits)
    throw refuseNode(node, `its weight does not fit K ${K}, N ${N}, bits ${bits}, block_size ${blockSize}`, remedy);
  const mask = 2 ** bits - 1;
  const perByte = 8 / bits;
  const rowBytes = (blocks * blockSize * bits) / 8;
  const read = async (first: number, count: number): Promise<Float32Array> => {
    const bytes = await book.reader.bytes(codes as Tensor, first * rowBytes, count * rowBytes);
    const factors = await floats(book, scales as Tensor, first * blocks, count * blocks);
    const zeros = await zeroPoints(book, points, first, count, { blocks, bits });
    const values = new Float32Array(count * K);
    for (let row = 0; row < count; row++) {
      for (let k = 0; k < K; k++) {
        const at = row * blocks * blockSize + k;
        const code = ((bytes[Math.floor(at / perByte)] as number) >> (bits * (at % perByte))) & mask;
        const block = row * blocks + Math.floor(k / blockSize);
        values[row * K + k] = (code - (zeros[block] as number)) * (factors[block] as number);
      }
    }
    return values;
  };
  const name = book.add(decodedMatrix(book.freeName(floatName(codesName)), { rows: N, width: K, read }));
  replaceByProduct(book, node, input, name, bias);
}

function replaceByProduct(book: NumberBook, node: Node, input: string, weight: string, bias: string): void {
  const [output] = node.outputs as [string];
  const product = bias === '' ? output : book.graph.freshName(`${output}.product`);
  const plain = { op: 'MatMul', domain: '', attributes: {} };
  const nodes: Node[] = [{ ...plain, name: node.name, inputs: [input, weight], outputs: [product] }];
  if (bias !== '') {
    nodes.push({ ...plain, name: `${node.name}/bias`, op: 'Add', inputs: [product, bias], outputs: [output] });
  }
  book.graph.replaceNode(node, nodes);
}

/** Zero points of whole rows, one for each block. */
async function zeroPoints(
  book: NumberBook,
  points: Tensor | undefined,
  first: number,
  count: number,
  { blocks, bits }: { readonly blocks: number; readonly bits: number },
): Promise<Float32Array> {
  if (points === undefined) return new Float32Array(count * blocks).fill(2 ** (bits - 1));
  if (isFloatType(points.type)) return floats(book, points, first * blocks, count * blocks);
  const rowBytes = Math.ceil((blocks * bits) / 8);
  const bytes = await book.reader.bytes(points, first * rowBytes, count * rowBytes);
  const perByte = 8 / bits;
  return Float32Array.from({ length: count * blocks }, (_, i) => {
    const [row, block] = [Math.floor(i / blocks), i % blocks];
    const byte = bytes[row * rowBytes + Math.floor(block / perByte)] as number;
    return (byte >> (bits * (block % perByte))) & (2 ** bits - 1);
  });
}

/** A table [V, D] in uint4 or int4 whose rows are cut into blocks. */
function decodeLookup(book: NumberBook, node: Node): void {
  const [codesName = '', indices = '', scalesName = '', pointsName = ''] = node.inputs;
  const codes = book.constant(codesName) as Tensor;
  const scales = book.constant(scalesName);
  const points = pointsName === '' ? undefined : book.constant(pointsName);
  const blockSize = numberAttribute(node, 'block_size', 128);
  const [rows = 0, width = 0] = codes.dims;
  const blocks = Math.ceil(width / blockSize);
  const axes = [numberAttribute(node, 'gather_axis', 0), numberAttribute(node, 'quantize_axis', 1)];
  const fits =
    codes.dims.length === 2 &&
    (axes.join() === '0,1' || axes.join() === '0,-1') &&
    isFloatType(scales?.type) &&
    scales?.dims.join() === `${rows},${blocks}` &&
    (pointsName === '' || (points?.type === codes.type && points.dims.join() === `${rows},${blocks}`));
  if (!fits)
    throw refuseNode(node, 'its table has other axes, scales or zero points than a table of rows in blocks', remedy);
  const source: RowSource = {
    name: codesName,
    rows,
    width,
    read: async (first, count) => {
      const read = await readCodes(book.reader, codes, first * width, count * width);
      const factors = await floats(book, scales as Tensor, first * blocks, count * blocks);
      const zeros = points === undefined ? null : await readCodes(book.reader, points, first * blocks, count * blocks);
      const values = new Float32Array(read.length);
      for (let i = 0; i < read.length; i++) {
        const block = Math.floor(i / width) * blocks + Math.floor((i % width) / blockSize);
        values[i] = ((read[i] as number) - (zeros?.[block] ?? 0)) * (factors[block] as number);
      }
      return values;
    },
  };
  const name = book.add(plainWeight(book.freeName(floatName(codesName)), [rows, width], source));
  book.graph.replaceNode(node, [
    { ...node, op: 'Gather', domain: '', inputs: [name, indices], attributes: { axis: { i: 0 } } },
  ]);
}

/** Values of a float tensor, in float32. */
async function floats(book: NumberBook, tensor: Tensor, first: number, count: number): Promise<Float32Array> {
  if (!isFloatType(tensor.type)) return new Float32Array(count);
  const width = { float32: 4, float16: 2, bfloat16: 2, float64: 8 }[tensor.type];
  return decodeFloats(tensor.type, await book.reader.bytes(tensor, first * width, count * width));
}
