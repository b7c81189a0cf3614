/**
 * Turns products of integers into products by quantised weights (MatMulNBits of 8 bits).
 *
 * onnxruntime's dynamic quantisation writes a product as DynamicQuantizeLinear, MatMulInteger, Cast and two Mul: it
 * finds one scale for the whole input, of all rows and tokens, so that a row's result depends on its neighbours. Here
 * each row finds its own scales (accuracy level 4), so results differ within the error of the file's quantisation.
 */

import { microsoft, type Node } from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import { productByCodes, wholeBlocks } from './block-codes.js';
import type { NumberBook } from './number-book.js';
import { readScale } from './stored-codes.js';

const remedy = 'take the float32, float16 or q4 form of this model';

/** The parts of a product in the file. */
interface IntegerProduct {
  /** The node whose output is the float result. */
  readonly last: Node;
  readonly input: string;
  readonly weight: string;
  readonly scale: string;
  readonly point: string;
  readonly bias: string;
}

/** The kernel quantises its input too. */
const integerAccuracy = 4;

/** Replaces all products of integers. @throws HoneError `OPERATOR_UNSUPPORTED` for one of another form */
export async function convertIntegerProducts(book: NumberBook): Promise<void> {
  book.look();
  for (const node of [...book.graph.nodes]) {
    const product = integerProduct(book, node);
    if (product === undefined) continue;
    await replace(book, node, product);
  }
  book.graph.prune();
}

function integerProduct(book: NumberBook, node: Node): IntegerProduct | undefined {
  const given = (index: number): string => node.inputs[index] ?? '';
  if (node.op === 'MatMulInteger' && node.domain === '') {
    return spelledOut(book, node);
  }
  if (node.domain !== microsoft) return undefined;
  if (node.op === 'DynamicQuantizeMatMul') {
    return { last: node, input: given(0), weight: given(1), scale: given(2), point: given(3), bias: given(4) };
  }
  if (node.op !== 'MatMulIntegerToFloat') return undefined;
  const source = quantizedInput(book, node, given(0), given(2), given(4));
  return { last: node, input: source, weight: given(1), scale: given(3), point: given(5), bias: given(6) };
}

/** MatMulInteger, then Cast, then Mul by the product of both scales. */
function spelledOut(book: NumberBook, node: Node): IntegerProduct {
  const [codes = '', weight = '', inputPoint = '', point = ''] = node.inputs;
  const cast = onlyReader(book, node, node.outputs[0] as string, 'Cast');
  const casted = cast.outputs[0] as string;
  const last = onlyReader(book, node, casted, 'Mul');
  const both = last.inputs.find((name) => name !== casted) ?? '';
  const scales = book.producer(both);
  if (scales?.op !== 'Mul') throw refuseNode(node, 'its result is not multiplied by the scales of both sides', remedy);
  const scale = scales.inputs.find((name) => book.constant(name) !== undefined) ?? '';
  const inputScale = scales.inputs.find((name) => name !== scale) ?? '';
  const input = quantizedInput(book, node, codes, inputScale, inputPoint);
  return { last, input, weight, scale, point, bias: '' };
}

function onlyReader(book: NumberBook, node: Node, value: string, op: string): Node {
  const [reader, another] = book.consumers(value);
  if (reader?.op === op && another === undefined && !book.graph.outputs.has(value)) return reader;
  throw refuseNode(node, `its result is not read by one ${op}, as onnxruntime's quantiser writes it`, remedy);
}

/** Returns the float value that a DynamicQuantizeLinear turned into these codes, with this scale and zero point. */
function quantizedInput(book: NumberBook, node: Node, codes: string, scale: string, point: string): string {
  const source = book.producer(codes);
  const [ownCodes, ownScale, ownPoint] = source?.outputs ?? [];
  if (source?.op !== 'DynamicQuantizeLinear' || ownCodes !== codes || ownScale !== scale || ownPoint !== point) {
    throw refuseNode(node, 'its input is not quantised by a DynamicQuantizeLinear with the same scale', remedy);
  }
  return source.inputs[0] as string;
}

async function replace(book: NumberBook, node: Node, product: IntegerProduct): Promise<void> {
  const { last, input, weight, bias } = product;
  const codes = book.constant(weight);
  if (codes === undefined || codes.dims.length !== 2 || (codes.type !== 'int8' && codes.type !== 'uint8')) {
    throw refuseNode(node, `its second input (${weight}) is not a constant matrix of int8 or uint8`, remedy);
  }
  const scale = await readScale(book, codes, product.scale, product.point, 1, 0);
  if (scale === undefined) throw refuseNode(node, `scale and zero point of ${weight} do not fit it`, remedy);
  const output = last.outputs[0] as string;
  const result = bias === '' ? output : book.graph.freshName(`${output}.product`);
  const coded = {
    name: floatName(weight),
    codes,
    layout: 'in-out',
    scale,
    blockSize: wholeBlocks(codes.dims[0] as number),
  } as const;
  // The node keeps the name by which modules are found.
  const named = { ...node, name: node.name.replace(/Gemm_MatMul(\w*)$/, 'MatMul$1') };
  const nodes = [productByCodes(book, named, input, result, coded, integerAccuracy)];
  if (bias !== '') {
    const name = `${node.name}/bias`;
    nodes.push({ name, op: 'Add', domain: '', inputs: [result, bias], outputs: [output], attributes: {} });
  }
  book.graph.replaceNode(last, nodes);
}

/** The name that a weight had before onnxruntime's quantiser added its ending. */
export function floatName(codes: string): string {
  return codes.replace(/_(?:quantized|Bnb4|Q\d+)$/, '');
}
