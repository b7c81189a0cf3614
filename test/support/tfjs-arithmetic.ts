/** Elementwise operators, comparisons, reductions and the softmax family in TF.js. */

import * as tf from '@tensorflow/tfjs';
import { intsAttribute, type Node, numberAttribute } from '../../src/onnx/index.js';
import { dataType, ints, normalAxis, type Operator, type OperatorTable, operand } from './tfjs-values.js';

const unary =
  (apply: (x: tf.Tensor) => tf.Tensor): Operator =>
  (_, inputs) =>
    apply(operand(inputs, 0));

const binary =
  (apply: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Operator =>
  (_, inputs) =>
    apply(operand(inputs, 0), operand(inputs, 1));

const variadic =
  (apply: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Operator =>
  (_, inputs) =>
    inputs.map((_, i) => operand(inputs, i)).reduce(apply);

/** Axes by input (opset 13 and 18) or attribute; all where none are named. */
function reducedAxes(node: Node, inputs: readonly (tf.Tensor | undefined)[]): number[] | undefined {
  const named = inputs[1] ? ints(inputs[1]) : intsAttribute(node, 'axes');
  if (named && named.length > 0) return [...named];
  return numberAttribute(node, 'noop_with_empty_axes', 0) ? [] : undefined;
}

const reduction =
  (apply: (x: tf.Tensor, axes: number[] | undefined, keep: boolean) => tf.Tensor): Operator =>
  (node, inputs) => {
    const axes = reducedAxes(node, inputs);
    const x = operand(inputs, 0);
    return axes?.length === 0 ? x : apply(x, axes, numberAttribute(node, 'keepdims', 1) !== 0);
  };

/** TF.js normalises over the last axis only. */
const alongAxis =
  (apply: (x: tf.Tensor) => tf.Tensor): Operator =>
  (node, inputs) => {
    const x = operand(inputs, 0);
    const axis = normalAxis(numberAttribute(node, 'axis', -1), x.rank);
    if (axis === x.rank - 1) return apply(x);
    const swap = x.shape.map((_, i) => (i === axis ? x.rank - 1 : i === x.rank - 1 ? axis : i));
    return tf.transpose(apply(tf.transpose(x, swap)), swap);
  };

export const arithmetic: OperatorTable = {
  Add: binary(tf.add),
  Sub: binary(tf.sub),
  Mul: binary(tf.mul),
  Div: binary(tf.div),
  Pow: binary((x, n) => tf.pow(x, tf.cast(n, x.dtype as 'float32'))),
  Sum: variadic(tf.add),
  Min: variadic(tf.minimum),
  Max: variadic(tf.maximum),
  Neg: unary(tf.neg),
  Abs: unary(tf.abs),
  Sqrt: unary(tf.sqrt),
  Exp: unary(tf.exp),
  Log: unary(tf.log),
  Sigmoid: unary(tf.sigmoid),
  Tanh: unary(tf.tanh),
  Erf: unary(tf.erf),
  Relu: unary(tf.relu),
  Reciprocal: unary(tf.reciprocal),
  Cos: unary(tf.cos),
  Sin: unary(tf.sin),
  Floor: unary(tf.floor),
  IsNaN: unary(tf.isNaN),
  Identity: unary(tf.clone),
  Cast: (node, inputs) => tf.cast(operand(inputs, 0), dataType(numberAttribute(node, 'to', 1))),
  Where: (_, inputs) => tf.where(tf.cast(operand(inputs, 0), 'bool'), operand(inputs, 1), operand(inputs, 2)),

  Less: binary(tf.less),
  LessOrEqual: binary(tf.lessEqual),
  Greater: binary(tf.greater),
  GreaterOrEqual: binary(tf.greaterEqual),
  Equal: binary(tf.equal),
  And: binary(tf.logicalAnd),
  Or: binary(tf.logicalOr),
  Not: unary(tf.logicalNot),

  ReduceSum: reduction((x, axes, keep) => tf.sum(x, axes, keep)),
  ReduceMean: reduction((x, axes, keep) => tf.mean(x, axes, keep)),
  ReduceMax: reduction((x, axes, keep) => tf.max(x, axes, keep)),
  ReduceMin: reduction((x, axes, keep) => tf.min(x, axes, keep)),
  Softmax: alongAxis((x) => tf.softmax(x)),
  LogSoftmax: alongAxis((x) => tf.logSoftmax(x)),
  CumSum: (node, inputs) =>
    tf.cumsum(
      operand(inputs, 0),
      ints(operand(inputs, 1))[0],
      numberAttribute(node, 'exclusive', 0) !== 0,
      numberAttribute(node, 'reverse', 0) !== 0,
    ),
};
