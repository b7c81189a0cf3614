/** Products and the fused operators of decoders, in TF.js. */

import * as tf from '@tensorflow/tfjs';
import { microsoft, type Node, numberAttribute } from '../../src/onnx/index.js';
import {
  broadcastDims,
  elementCount,
  type Operator,
  type OperatorTable,
  operand,
  withoutGradient,
} from './tfjs-values.js';

const truthy = (node: Node, name: string): boolean => numberAttribute(node, name, 0) !== 0;

/**
 * A product with broadcast batch axes. TF.js does not sum the gradient of a broadcast operand, so batches are made
 * equal first; a plain matrix on the right takes all rows at once.
 */
function product(a: tf.Tensor, b: tf.Tensor, transposeA = false, transposeB = false): tf.Tensor {
  if (a.rank === 1) return tf.squeeze(product(tf.expandDims(a, 0), b, false, transposeB), [-2]);
  if (b.rank === 1) return tf.squeeze(product(a, tf.expandDims(b, 1), transposeA, false), [-1]);
  if (b.rank === 2 && !transposeA) {
    const inner = a.shape.at(-1) as number;
    const rows = elementCount(a.shape.slice(0, -1));
    const out = tf.matMul(tf.reshape(a, [rows, inner]), b, false, transposeB);
    return tf.reshape(out, [...a.shape.slice(0, -1), out.shape[1] as number]);
  }
  const batch = broadcastDims(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const spread = (x: tf.Tensor): tf.Tensor => tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  return tf.matMul(spread(a), spread(b), transposeA, transposeB);
}

const gemm: Operator = (node, inputs) => {
  const y = product(operand(inputs, 0), operand(inputs, 1), truthy(node, 'transA'), truthy(node, 'transB'));
  const scaled = tf.mul(y, numberAttribute(node, 'alpha', 1));
  const c = inputs[2];
  return c ? tf.add(scaled, tf.mul(c, numberAttribute(node, 'beta', 1))) : scaled;
};

const fusedMatMul: Operator = (node, inputs) => {
  if (truthy(node, 'transBatchA') || truthy(node, 'transBatchB')) throw new Error('FusedMatMul with transBatch');
  const y = product(operand(inputs, 0), operand(inputs, 1), truthy(node, 'transA'), truthy(node, 'transB'));
  return tf.mul(y, numberAttribute(node, 'alpha', 1));
};

/** x / sqrt(mean(x^2) + eps) * w */
function rmsNorm(node: Node, x: tf.Tensor, weight: tf.Tensor): tf.Tensor[] {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), numberAttribute(node, 'epsilon', 1e-5)));
  return [tf.mul(tf.mul(x, inverse), weight), inverse];
}

const simplifiedNorm: Operator = (node, inputs) => rmsNorm(node, operand(inputs, 0), operand(inputs, 1));

const skipNorm: Operator = (node, inputs) => {
  let sum = tf.add(operand(inputs, 0), operand(inputs, 1));
  if (inputs[3]) sum = tf.add(sum, inputs[3]);
  const [y, inverse] = rmsNorm(node, sum, operand(inputs, 2)) as [tf.Tensor, tf.Tensor];
  return [y, inverse, inverse, sum];
};

/**
 * Rotary positions. x is [B, S, heads * hd] or [B, heads, S, hd]; the tables are [positions, hd/2], read at position_ids
 * [B, S], or already [B, S, hd/2].
 */
function rotate(node: Node, x: tf.Tensor, positions: tf.Tensor | undefined, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  const half = cos.shape.at(-1) as number;
  const heads = numberAttribute(node, 'num_heads', 0);
  const packed = x.rank === 3;
  const headSize = packed ? (heads > 0 ? (x.shape[2] as number) / heads : 2 * half) : (x.shape[3] as number);
  const byHead = packed
    ? tf.reshape(x, [x.shape[0] as number, x.shape[1] as number, -1, headSize])
    : tf.transpose(x, [0, 2, 1, 3]);
  const [batch, length] = byHead.shape as [number, number];
  const table = (values: tf.Tensor): tf.Tensor => {
    if (positions === undefined) return tf.reshape(values, [batch, length, 1, half]);
    // A single position is the offset of the first token.
    const all =
      positions.size === 1 && batch * length > 1 ? tf.add(tf.range(0, length, 1, 'int32'), positions) : positions;
    const rows = tf.gather(values, tf.reshape(tf.cast(all, 'int32'), [-1]) as tf.Tensor1D);
    return tf.reshape(rows, [all.size === length ? 1 : batch, length, 1, half]);
  };
  const [c, s] = [table(cos), table(sin)];
  const [turned, rest] = tf.split(byHead, [2 * half, headSize - 2 * half], 3) as [tf.Tensor, tf.Tensor];
  let out: tf.Tensor;
  if (truthy(node, 'interleaved')) {
    const pairs = tf.reshape(turned, [...turned.shape.slice(0, 3), half, 2]);
    const [a, b] = tf.unstack(pairs, 4) as [tf.Tensor, tf.Tensor];
    out = tf.reshape(
      tf.stack([tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))], 4),
      turned.shape,
    );
  } else {
    const [a, b] = tf.split(turned, 2, 3) as [tf.Tensor, tf.Tensor];
    out = tf.concat([tf.sub(tf.mul(a, c), tf.mul(b, s)), tf.add(tf.mul(b, c), tf.mul(a, s))], 3);
  }
  const whole = headSize > 2 * half ? tf.concat([out, rest], 3) : out;
  return packed ? tf.reshape(whole, x.shape) : tf.transpose(whole, [0, 2, 1, 3]);
}

export const decoder: OperatorTable = {
  MatMul: (_, inputs) => product(operand(inputs, 0), operand(inputs, 1)),
  Gemm: gemm,
  [`${microsoft}.FusedMatMul`]: fusedMatMul,
  SimplifiedLayerNormalization: simplifiedNorm,
  [`${microsoft}.SimplifiedLayerNormalization`]: simplifiedNorm,
  RMSNormalization: simplifiedNorm,
  [`${microsoft}.SkipSimplifiedLayerNormalization`]: skipNorm,
  [`${microsoft}.RotaryEmbedding`]: (node, inputs) =>
    rotate(node, operand(inputs, 0), operand(inputs, 1), operand(inputs, 2), operand(inputs, 3)),
  RotaryEmbedding: (node, inputs) =>
    rotate(node, operand(inputs, 0), inputs[3], operand(inputs, 1), operand(inputs, 2)),

  'hone.Detach': (_, inputs) => withoutGradient(operand(inputs, 0)),
  // Log-softmax at the target, by one-hot product.
  'hone.TokenLogProbability': (_, inputs) => {
    const all = tf.logSoftmax(operand(inputs, 0));
    const hot = tf.oneHot(tf.cast(operand(inputs, 1), 'int32'), all.shape[1] as number, 1, 0, 'float32');
    return [tf.sum(tf.mul(all, hot), 1), all];
  },
};
