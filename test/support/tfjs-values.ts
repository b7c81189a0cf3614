/** What the TF.js interpreter's operators share: reading attributes, integer operands and constants. int64 becomes int32. */

import * as tf from '@tensorflow/tfjs';
import {
  elementCount,
  float32Values,
  int64Values,
  isExternal,
  type Node,
  type Tensor as OnnxTensor,
} from '../../src/onnx/index.js';

/** One operator: the node and its operands (undefined where an optional one is left out) to its outputs. */
export type Operator = (node: Node, inputs: readonly (tf.Tensor | undefined)[]) => tf.Tensor | tf.Tensor[];
/** By name; operators outside ai.onnx as `domain.Name`. */
export type OperatorTable = Readonly<Record<string, Operator>>;

const int32Max = 2 ** 31 - 1;

/** ONNX writes "to the end" as the largest int64. */
const clampInt32 = (value: number): number => Math.max(-int32Max, Math.min(int32Max, value));

/** The operand at an index that the operator cannot do without. */
export function operand(inputs: readonly (tf.Tensor | undefined)[], index: number): tf.Tensor {
  const value = inputs[index];
  if (value === undefined) throw new Error(`operand ${index} is missing`);
  return value;
}

/** An operand that says something about shapes: its values. */
export function ints(value: tf.Tensor): number[] {
  return Array.from(value.dataSync());
}

export function stringAttribute(node: Node, name: string, fallback: string): string {
  const value = node.attributes[name];
  return value !== undefined && 's' in value ? value.s : fallback;
}

/** A constant of the graph as a TF.js tensor. */
export function constant(tensor: OnnxTensor): tf.Tensor {
  const dims = [...tensor.dims];
  if (isExternal(tensor.data)) throw new Error('the interpreter reads inline constants only');
  switch (tensor.type) {
    case 'float32':
      return tf.tensor(float32Values(tensor), dims, 'float32');
    case 'int64':
      return tf.tensor(Int32Array.from(int64Values(tensor), clampInt32), dims, 'int32');
    case 'int32':
      return tf.tensor(new Int32Array(new Uint8Array(tensor.data).buffer), dims, 'int32');
    case 'bool':
      return tf.tensor(new Uint8Array(tensor.data), dims, 'bool');
    default:
      throw new Error(`the interpreter has no ${tensor.type}`);
  }
}

/** TF.js type of an ONNX `TensorProto.DataType`. */
export function dataType(code: number): 'float32' | 'int32' | 'bool' {
  if (code === 1 || code === 11) return 'float32';
  if (code === 6 || code === 7) return 'int32';
  if (code === 9) return 'bool';
  throw new Error(`the interpreter has no ONNX element type ${code}`);
}

/** Shape of two operands broadcast against each other. */
export function broadcastDims(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    return x === 1 ? y : x;
  });
}

export const normalAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The value without a path for gradients. */
export function withoutGradient(value: tf.Tensor): tf.Tensor {
  return tf.tensor(value.dataSync().slice(), value.shape, value.dtype);
}

export { elementCount };
