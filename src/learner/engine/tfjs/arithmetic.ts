/** Elementwise operators, comparisons, reductions and the softmax family, in TF.js. */

import { intsAttribute, microsoft, type Node, numberAttribute, textAttribute } from '../../../onnx/index.js';
import {
  dataType,
  ints,
  normalAxis,
  type Operands,
  type Operator,
  type OperatorTable,
  operand,
  type Tensor,
  type TensorFlow,
} from './values.js';

type Unary = (x: Tensor) => Tensor;
type Binary = (a: Tensor, b: Tensor) => Tensor;
type Reduction = (x: Tensor, axes: number[] | undefined, keep: boolean) => Tensor;

// The function is looked up when the operator runs, because the library is known only then.
const unary =
  (pick: (tf: TensorFlow) => Unary): Operator =>
  (tf, _, inputs) =>
    pick(tf)(operand(inputs, 0));

const binary =
  (pick: (tf: TensorFlow) => Binary): Operator =>
  (tf, _, inputs) =>
    pick(tf)(operand(inputs, 0), operand(inputs, 1));

const variadic =
  (pick: (tf: TensorFlow) => Binary): Operator =>
  (tf, _, inputs) =>
    inputs.map((_, i) => operand(inputs, i)).reduce((a, b) => pick(tf)(a, b));

/** Axes from the input (opset 13 and 18) or the attribute; all axes if neither names any. */
function reducedAxes(node: Node, inputs: Operands): number[] | undefined {
  const named = inputs[1] ? ints(inputs[1]) : intsAttribute(node, 'axes');
  if (named && named.length > 0) return [...named];
  return numberAttribute(node, 'noop_with_empty_axes', 0) ? [] : undefined;
}

const reduction =
  (pick: (tf: TensorFlow) => Reduction): Operator =>
  (tf, node, inputs) => {
    const axes = reducedAxes(node, inputs);
    const x = operand(inputs, 0);
    return axes?.length === 0 ? x : pick(tf)(x, axes, numberAttribute(node, 'keepdims', 1) !== 0);
  };

/** TF.js normalises over the last axis only. */
const alongAxis =
  (pick: (tf: TensorFlow) => Unary): Operator =>
  (tf, node, inputs) => {
    const x = operand(inputs, 0);
    const axis = normalAxis(numberAttribute(node, 'axis', -1), x.rank);
    if (axis === x.rank - 1) return pick(tf)(x);
    const swap = x.shape.map((_, i) => (i === axis ? x.rank - 1 : i === x.rank - 1 ? axis : i));
    return tf.transpose(pick(tf)(tf.transpose(x, swap)), swap);
  };

/** x (1 + erf(x / sqrt 2)) / 2 */
function exactGelu(tf: TensorFlow, x: Tensor): Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
}

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
function tanhGelu(tf: TensorFlow, x: Tensor): Tensor {
  const bent = tf.mul(tf.add(x, tf.mul(tf.mul(tf.mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(bent), 1));
}

export const arithmetic: OperatorTable = {
  Add: binary((tf) => tf.add),
  Sub: binary((tf) => tf.sub),
  Mul: binary((tf) => tf.mul),
  Div: binary((tf) => tf.div),
  Pow: (tf, _, inputs) => {
    const x = operand(inputs, 0);
    return tf.pow(x, tf.cast(operand(inputs, 1), x.dtype as 'float32'));
  },
  Sum: variadic((tf) => tf.add),
  Min: variadic((tf) => tf.minimum),
  Max: variadic((tf) => tf.maximum),
  Neg: unary((tf) => tf.neg),
  Abs: unary((tf) => tf.abs),
  Sqrt: unary((tf) => tf.sqrt),
  Exp: unary((tf) => tf.exp),
  Log: unary((tf) => tf.log),
  Sigmoid: unary((tf) => tf.sigmoid),
  Tanh: unary((tf) => tf.tanh),
  Erf: unary((tf) => tf.erf),
  Relu: unary((tf) => tf.relu),
  Gelu: (tf, node, inputs) => {
    const gelu = textAttribute(node, 'approximate', 'none') === 'tanh' ? tanhGelu : exactGelu;
    return gelu(tf, operand(inputs, 0));
  },
  [`${microsoft}.Gelu`]: (tf, _, inputs) => exactGelu(tf, operand(inputs, 0)),
  [`${microsoft}.FastGelu`]: (tf, _, inputs) =>
    tanhGelu(tf, inputs[1] ? tf.add(operand(inputs, 0), inputs[1]) : operand(inputs, 0)),
  [`${microsoft}.QuickGelu`]: (tf, node, inputs) => {
    const x = operand(inputs, 0);
    return tf.mul(x, tf.sigmoid(tf.mul(x, numberAttribute(node, 'alpha', 1.702))));
  },
  Reciprocal: unary((tf) => tf.reciprocal),
  Cos: unary((tf) => tf.cos),
  Sin: unary((tf) => tf.sin),
  Floor: unary((tf) => tf.floor),
  IsNaN: unary((tf) => tf.isNaN),
  Identity: unary((tf) => tf.clone),
  Cast: (tf, node, inputs) => tf.cast(operand(inputs, 0), dataType(numberAttribute(node, 'to', 1))),
  Where: (tf, _, inputs) => tf.where(tf.cast(operand(inputs, 0), 'bool'), operand(inputs, 1), operand(inputs, 2)),

  Less: binary((tf) => tf.less),
  LessOrEqual: binary((tf) => tf.lessEqual),
  Greater: binary((tf) => tf.greater),
  GreaterOrEqual: binary((tf) => tf.greaterEqual),
  Equal: binary((tf) => tf.equal),
  And: binary((tf) => tf.logicalAnd),
  Or: binary((tf) => tf.logicalOr),
  Not: unary((tf) => tf.logicalNot),

  ReduceSum: reduction((tf) => tf.sum),
  ReduceMean: reduction((tf) => tf.mean),
  ReduceMax: reduction((tf) => tf.max),
  ReduceMin: reduction((tf) => tf.min),
  Softmax: alongAxis((tf) => tf.softmax),
  LogSoftmax: alongAxis((tf) => tf.logSoftmax),
  CumSum: (tf, node, inputs) =>
    tf.cumsum(
      operand(inputs, 0),
      ints(operand(inputs, 1))[0],
      numberAttribute(node, 'exclusive', 0) !== 0,
      numberAttribute(node, 'reverse', 0) !== 0,
    ),
};
