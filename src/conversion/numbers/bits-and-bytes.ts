/**
 * Decodes the weights of MatMulBnb4, which are in the two 4-bit formats of bitsandbytes, into float32. No other operator
 * has products by them.
 *
 * A weight [out, in] is cut into blocks as one row of values. A code stands for a number of a table, which is
 * multiplied by the largest magnitude of the block. Two codes share a byte, the first in the high half.
 */

import {
  decodeFloats,
  elementCount,
  isFloatType,
  microsoft,
  type Node,
  numberAttribute,
  type Tensor,
} from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import { decodedMatrix } from './decoded-weights.js';
import { floatName } from './integer-products.js';
import type { NumberBook } from './number-book.js';

const remedy = 'take the float32, float16 or q4 form of this model';

/** The numbers of FP4: a sign, two bits of exponent and one of fraction, scaled so that the largest is 1. */
const fp4 = [0, 5.208333333e-3, 2 / 3, 1, 1 / 3, 0.5, 1 / 6, 0.25];
const fp4Numbers = Float32Array.from([...fp4, ...fp4.map((value) => -value)]);

/** The numbers of NF4: quantiles of the normal distribution (QLoRA, arXiv 2305.14314, appendix E). */
const nf4Numbers = Float32Array.from([
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
]);

/** The tables by the operator's attribute `quant_type`. */
export const bnb4Numbers: readonly Float32Array[] = [fp4Numbers, nf4Numbers];

/** @throws HoneError `OPERATOR_UNSUPPORTED` for an unknown format, or weights that are no constants */
export function convertBnb4(book: NumberBook): void {
  book.look();
  const decoded = new Map<string, string>();
  for (const node of [...book.graph.nodes]) {
    if (node.op !== 'MatMulBnb4' || node.domain !== microsoft) continue;
    const [input = '', codes = ''] = node.inputs;
    const name = decoded.get(codes) ?? decodeWeight(book, node);
    decoded.set(codes, name);
    book.graph.replaceNode(node, [{ ...node, op: 'MatMul', domain: '', inputs: [input, name], attributes: {} }]);
  }
}

function decodeWeight(book: NumberBook, node: Node): string {
  const [, codesName = '', magnitudesName = ''] = node.inputs;
  const [K, N, blockSize] = ['K', 'N', 'block_size'].map((name) => numberAttribute(node, name, 0)) as [
    number,
    number,
    number,
  ];
  const type = numberAttribute(node, 'quant_type', -1);
  const numbers = bnb4Numbers[type];
  if (numbers === undefined) throw refuseNode(node, `its format (quant_type ${type}) is unknown`, remedy);
  if (numberAttribute(node, 'transB', 1) !== 1) throw refuseNode(node, 'its weight is turned over (transB 0)', remedy);
  const codes = book.constant(codesName);
  const magnitudes = book.constant(magnitudesName);
  const fits =
    codes?.type === 'uint8' &&
    elementCount(codes.dims) === Math.ceil((K * N) / 2) &&
    isFloatType(magnitudes?.type) &&
    elementCount(magnitudes?.dims ?? []) === Math.ceil((K * N) / blockSize);
  if (!fits)
    throw refuseNode(
      node,
      `${codesName} and ${magnitudesName} do not fit K ${K}, N ${N}, block_size ${blockSize}`,
      remedy,
    );
  let scales: Float32Array | undefined;
  const name = book.freeName(floatName(codesName));
  const read = async (first: number, count: number): Promise<Float32Array> => {
    scales ??= await floatsOf(book, magnitudes as Tensor);
    const [from, to] = [first * K, (first + count) * K];
    const bytes = await book.reader.bytes(codes as Tensor, from >> 1, ((to + 1) >> 1) - (from >> 1));
    const values = new Float32Array(to - from);
    for (let at = from; at < to; at++) {
      const code = ((bytes[(at >> 1) - (from >> 1)] as number) >> (4 * (1 - (at & 1)))) & 15;
      values[at - from] = (numbers[code] as number) * (scales[Math.floor(at / blockSize)] as number);
    }
    return values;
  };
  return book.add(decodedMatrix(name, { rows: N, width: K, read }));
}

async function floatsOf(book: NumberBook, tensor: Tensor): Promise<Float32Array> {
  if (!isFloatType(tensor.type)) return new Float32Array();
  return decodeFloats(tensor.type, await book.bytes(tensor));
}
