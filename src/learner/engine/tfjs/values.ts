/**
 * Shared by the operators of the TF.js engine: their type, access to operands, element types.
 *
 * The user installs TF.js, so no file of the engine imports it: each call passes the library. int64 becomes int32.
 */

import type * as tfjs from '@tensorflow/tfjs';
import { HoneError } from '../../../errors.js';
import type { Node } from '../../../onnx/index.js';

/** The library, from any of the packages that the user may have installed. */
export type TensorFlow = typeof tfjs;
export type Tensor = tfjs.Tensor;
export type Operands = readonly (Tensor | undefined)[];

/**
 * One operator: computes the outputs of a node from its operands; an optional operand that is left out is undefined.
 */
export type Operator = (tf: TensorFlow, node: Node, inputs: Operands) => Tensor | readonly Tensor[];
/** By name; operators outside ai.onnx as `domain.Name`. */
export type OperatorTable = Readonly<Record<string, Operator>>;

/** @throws HoneError `OPERATOR_UNSUPPORTED` */
export function unsupported(what: string): never {
  throw new HoneError(
    'OPERATOR_UNSUPPORTED',
    `the tfjs engine has no ${what}; use --learner-engine onnx, or serve the model with --learner off`,
  );
}

/** The operand at an index. @throws HoneError `MODEL_INVALID` if it is left out */
export function operand(inputs: Operands, index: number): Tensor {
  const value = inputs[index];
  if (value === undefined) throw new HoneError('MODEL_INVALID', `operand ${index} is missing`);
  return value;
}

/** The values of an integer operand, such as a shape or axes. */
export function ints(value: Tensor): number[] {
  return Array.from(value.dataSync());
}

/** TF.js type of an ONNX `TensorProto.DataType`. */
export function dataType(code: number): 'float32' | 'int32' | 'bool' {
  if (code === 1 || code === 11) return 'float32';
  if (code === 6 || code === 7) return 'int32';
  if (code === 9) return 'bool';
  return unsupported(`ONNX element type ${code}`);
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

/** Rows of zeros with a one at each id, in float32. The wasm backend writes integers whatever type it is asked for. */
export function oneHot(tf: TensorFlow, ids: Tensor, width: number): Tensor {
  return tf.cast(tf.oneHot(ids, width, 1, 0, 'int32'), 'float32');
}
