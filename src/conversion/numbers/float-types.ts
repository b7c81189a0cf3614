/**
 * Makes all floating-point numbers of a graph float32: weights, constants, inputs, outputs, and what Cast computes. A
 * Cast between two floats then has no effect and is removed.
 *
 * Float32 holds all values of float16 and bfloat16, and does arithmetic with smaller errors, so results come nearer to
 * those of the model before it was made smaller.
 */

import {
  type Attribute,
  byteCount,
  decodeFloats,
  elementCount,
  elementTypes,
  float32Tensor,
  floatTypes,
  type Graph,
  isExternal,
  isFloatType,
  type Node,
  type Tensor,
} from '../../onnx/index.js';
import type { PlannedWeight } from '../weights/planned-weights.js';
import type { NumberBook } from './number-book.js';
import { valueTypes } from './value-types.js';

/** Bytes. A tensor that is not larger stays in the graph. */
const smallTensor = 4096;
const pieceBytes = 1 << 24;

/** Attributes that name an element type. */
const typeAttributes: ReadonlySet<string> = new Set(['to', 'dtype', 'output_dtype', 'stash_type', 'softmax_precision']);
const floatCodes: ReadonlySet<number> = new Set(floatTypes.map((type) => elementTypes[type].code));

/** The number that exporters put into masks, and what they put there in float32. */
const lowestFloat16 = -65_504;
const lowestFloat32 = -3.4028234663852886e38;

/** Changes types in place and plans every large initializer that has no plan yet. */
export function useFloat32(book: NumberBook): void {
  const { graph } = book;
  graph.nodes = graph.nodes.map((node) => withFloat32Attributes(exactProduct(graph, node)));
  for (const [name, info] of graph.inputs) {
    if (isFloatType(info.type)) graph.inputs.set(name, { ...info, type: 'float32' });
  }
  for (const [name, info] of graph.outputs) {
    if (info !== null && isFloatType(info.type)) graph.outputs.set(name, { ...info, type: 'float32' });
  }
  planInitializers(book);
  graph.prune();
  removeCasts(graph);
  graph.prune();
}

/**
 * Removes `accuracy_level` from a product in 16 bits. It lets onnxruntime round the activations to 8 bits, which it does
 * otherwise in 16 bits than in 32, so that the exact product is nearer to the file's than the other rounding.
 */
function exactProduct(graph: Graph, node: Node): Node {
  const { accuracy_level: level, ...attributes } = node.attributes;
  const type = graph.initializers.get(node.inputs[2] ?? '')?.type;
  const is16Bits = node.op === 'MatMulNBits' && isFloatType(type) && type !== 'float32';
  return level !== undefined && is16Bits ? { ...node, attributes } : node;
}

function withFloat32Attributes(node: Node): Node {
  const entries = Object.entries(node.attributes);
  const changed = entries.map(([name, value]): [string, Attribute] => {
    if ('t' in value) return [name, { t: smallFloat32(value.t) }];
    const isFloat = 'i' in value && typeAttributes.has(name) && floatCodes.has(value.i);
    return [name, isFloat ? { i: elementTypes.float32.code } : value];
  });
  return { ...node, attributes: Object.fromEntries(changed) };
}

/** A tensor in the graph, in float32 if it holds floats. */
function smallFloat32(tensor: Tensor): Tensor {
  const { type, dims, data } = tensor;
  if (type === 'float32' || !isFloatType(type) || isExternal(data)) return tensor;
  const values = decodeFloats(type, data);
  // A single such number means "nothing": float32 has a lower one, which hides scores of any size.
  if (type === 'float16' && values.length === 1 && values[0] === lowestFloat16) values[0] = lowestFloat32;
  return float32Tensor(values, dims);
}

function planInitializers(book: NumberBook): void {
  /** Planned tensors by their place in the file. */
  const planned = new Map<string, string>();
  for (const [name, tensor] of book.graph.initializers) {
    if (book.isPlanned(name)) continue;
    const { type, dims, data } = tensor;
    if (!isExternal(data) && data.length <= smallTensor) {
      book.graph.initializers.set(name, smallFloat32(tensor));
      continue;
    }
    const written: Pick<Tensor, 'type' | 'dims'> = { type: isFloatType(type) ? 'float32' : type, dims };
    const place = isExternal(data) ? [data.location, data.offset, type, elementCount(dims)].join('\0') : name;
    const known = planned.get(place);
    if (known !== undefined) book.share(name, written, known);
    else planned.set(place, book.add(read32(book, name, tensor)));
  }
}

/** The same values, floats in float32. */
function read32({ reader }: NumberBook, name: string, tensor: Tensor): PlannedWeight {
  const { type, dims } = tensor;
  const length = byteCount(type, dims);
  return {
    tensors: [{ name, type: isFloatType(type) ? 'float32' : type, dims }],
    async *pieces() {
      for (let at = 0; at < length; at += pieceBytes) {
        const bytes = await reader.bytes(tensor, at, Math.min(pieceBytes, length - at));
        if (type === 'float32' || !isFloatType(type)) yield bytes;
        else yield new Uint8Array(decodeFloats(type, bytes).buffer);
      }
    },
  };
}

/** Removes nodes that pass a float on as it is. Outputs of the graph keep their names. */
function removeCasts(graph: Graph): void {
  const types = valueTypes(graph);
  const producers = graph.producers();
  /** Values by the value that takes their place. */
  const replaced = new Map<string, string>();
  const resolve = (value: string): string => {
    let name = value;
    for (let next = replaced.get(name); next !== undefined; next = replaced.get(name)) name = next;
    return name;
  };
  const doomed = new Set<Node>();
  const kept = new Map<Node, Node>();
  for (const node of graph.nodes) {
    const [source = ''] = node.inputs;
    const [output = ''] = node.outputs;
    const isCast = node.op === 'Cast' && isFloatType(types.get(source)) && isFloatType(types.get(output));
    if (node.domain !== '' || (!isCast && node.op !== 'Identity')) continue;
    const value = resolve(source);
    if (!graph.outputs.has(output)) replaced.set(output, value);
    else if (producers.has(value) && !graph.outputs.has(value)) replaced.set(value, output);
    else {
      kept.set(node, { ...node, op: 'Identity', attributes: {} });
      continue;
    }
    doomed.add(node);
  }
  graph.nodes = graph.nodes.flatMap((node) => {
    if (doomed.has(node)) return [];
    const one = kept.get(node) ?? node;
    return [{ ...one, inputs: one.inputs.map(resolve), outputs: one.outputs.map(resolve) }];
  });
}
