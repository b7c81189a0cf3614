/**
 * Turns DequantizeLinear of constants into products by quantised weights where they are the weights of a MatMul, and
 * into float32 weights elsewhere.
 */

import { intsAttribute, type Node, numberAttribute, type Tensor } from '../../onnx/index.js';
import { refuseNode } from '../../package/index.js';
import { productByCodes, wholeBlocks } from './block-codes.js';
import { decodedWeight } from './decoded-weights.js';
import { floatName } from './integer-products.js';
import type { NumberBook } from './number-book.js';
import { type CodeScale, codeBits, readScale } from './stored-codes.js';

const remedy = 'take the float32, float16 or q4 form of this model';

/** Operators that move values without a change, so that decoding may come before them. */
const moves: ReadonlySet<string> = new Set([
  'Gather',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Slice',
]);

/** @throws HoneError `OPERATOR_UNSUPPORTED` if activations are quantised, or codes have another form */
export async function convertDequantized(book: NumberBook): Promise<void> {
  book.look();
  /** Decoded initializers, by codes, scale and zero point. */
  const decoded = new Map<string, string>();
  for (const node of [...book.graph.nodes]) {
    if (node.op !== 'DequantizeLinear') continue;
    const { path, root } = traced(book, node);
    const codes = book.constant(root) as Tensor;
    const scale = await scaleOf(book, node, codes, path.length > 0);
    if (path.length === 0 && replaceProducts(book, node, root, codes, scale)) continue;
    const key = [root, ...node.inputs.slice(1), numberAttribute(node, 'axis', 1)].join('\0');
    let name = decoded.get(key);
    if (name === undefined) {
      name = book.add(decodedWeight(book, book.freeName(floatName(root)), codes, scale));
      decoded.set(key, name);
    }
    follow(book, node, path, name);
  }
  book.graph.prune();
}

/** Goes from the codes back to the constant that they come from. */
function traced(book: NumberBook, node: Node): { path: Node[]; root: string } {
  const path: Node[] = [];
  let value = node.inputs[0] as string;
  while (book.constant(value) === undefined) {
    const source = book.producer(value);
    if (source === undefined || !moves.has(source.op) || source.domain !== '') {
      throw refuseNode(
        node,
        `it decodes ${value}, which is not a constant: activations are quantised with constants that Hone does not keep`,
        remedy,
      );
    }
    path.unshift(source);
    value = source.inputs[0] as string;
  }
  const type = (book.constant(value) as Tensor).type;
  if (codeBits[type] === undefined) throw refuseNode(node, `it decodes ${value}, which is ${type}`, remedy);
  return { path, root: value };
}

async function scaleOf(book: NumberBook, node: Node, codes: Tensor, isMoved: boolean): Promise<CodeScale> {
  const block = numberAttribute(node, 'block_size', 0);
  const given = numberAttribute(node, 'axis', 1);
  const axis = given < 0 ? given + codes.dims.length : given;
  const [, scaleName = '', pointName = ''] = node.inputs;
  const scale = await readScale(book, codes, scaleName, pointName, axis, block);
  if (scale === undefined || (isMoved && !scale.isSingle)) {
    throw refuseNode(node, `its scale (${scaleName}) and zero point do not fit the codes, or are not constant`, remedy);
  }
  return scale;
}

/** Whether all readers were products by the codes, which are now made of them. */
function replaceProducts(book: NumberBook, node: Node, root: string, codes: Tensor, scale: CodeScale): boolean {
  const value = node.outputs[0] as string;
  const readers = book.consumers(value);
  const axis = numberAttribute(node, 'axis', 1);
  const block = numberAttribute(node, 'block_size', 0);
  if (codes.dims.length !== 2 || codes.type === 'int32' || book.graph.outputs.has(value)) return false;
  const [first, second] = codes.dims as [number, number];
  // A MatMul may read the weight [in, out], or one [out, in] through a Transpose.
  const turned = readers.length > 0 && readers.every((one) => isTurned(one));
  const products = turned ? readers.flatMap((one) => book.consumers(one.outputs[0] as string)) : readers;
  const names = new Set([value, ...readers.map((one) => one.outputs[0] as string)]);
  const areProducts = products.every(
    (one) =>
      one.op === 'MatMul' && one.domain === '' && names.has(one.inputs[1] ?? '') && !names.has(one.inputs[0] ?? ''),
  );
  if (
    products.length === 0 ||
    !areProducts ||
    (turned && readers.some((one) => book.graph.outputs.has(one.outputs[0] as string)))
  ) {
    return false;
  }
  const [inAxis, inFeatures] = turned ? [1, second] : [0, first];
  const positive = axis < 0 ? axis + 2 : axis;
  let blockSize = wholeBlocks(inFeatures);
  if (block > 0) {
    if (positive !== inAxis || block < 16 || (block & (block - 1)) !== 0) return false;
    blockSize = block;
  } else if (!scale.isSingle && positive === inAxis) return false;
  const weight = { name: floatName(root), codes, layout: turned ? 'out-in' : 'in-out', scale, blockSize } as const;
  const [one, ...others] = products as [Node, ...Node[]];
  const made = productByCodes(book, one, one.inputs[0] as string, one.outputs[0] as string, weight);
  book.graph.replaceNode(one, [made]);
  for (const other of others) {
    const inputs = [other.inputs[0] as string, ...made.inputs.slice(1)];
    book.graph.replaceNode(other, [{ ...made, name: other.name, inputs, outputs: other.outputs }]);
  }
  return true;
}

function isTurned(node: Node): boolean {
  if (node.op !== 'Transpose' || node.domain !== '') return false;
  const perm = intsAttribute(node, 'perm');
  return perm === undefined || perm.join() === '1,0';
}

/** Makes the nodes between the codes and the decoding move decoded values instead. */
function follow(book: NumberBook, node: Node, path: readonly Node[], decoded: string): void {
  const [output] = node.outputs as [string];
  let value = decoded;
  const nodes = path.map((one, i): Node => {
    const last = i === path.length - 1;
    const moved = last ? output : book.graph.freshName(`${one.outputs[0]}.decoded`);
    const copy = { ...one, name: last ? one.name : `${one.name}/decoded`, inputs: [value, ...one.inputs.slice(1)] };
    value = moved;
    return { ...copy, outputs: [moved] };
  });
  const copied: Node = { ...node, op: 'Identity', inputs: [decoded], attributes: {} };
  book.graph.replaceNode(node, nodes.length > 0 ? nodes : [copied]);
}
