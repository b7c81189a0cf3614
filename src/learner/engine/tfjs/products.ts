/** Matrix products and norms, in TF.js. */

import { elementCount, microsoft, type Node, numberAttribute } from '../../../onnx/index.js';
import {
  broadcastDims,
  type Operator,
  type OperatorTable,
  operand,
  type Tensor,
  type TensorFlow,
  unsupported,
} from './values.js';

const truthy = (node: Node, name: string): boolean => numberAttribute(node, name, 0) !== 0;

/**
 * A product with broadcast batch axes. TF.js does not sum the gradient of a broadcast operand, so the batch axes are
 * made equal first; a plain matrix on the right multiplies all rows at once.
 */
function product(tf: TensorFlow, a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  if (a.rank === 1) return tf.squeeze(product(tf, tf.expandDims(a, 0), b, false, transposeB), [-2]);
  if (b.rank === 1) return tf.squeeze(product(tf, a, tf.expandDims(b, 1), transposeA, false), [-1]);
  if (b.rank === 2 && !transposeA) {
    const inner = a.shape.at(-1) as number;
    const rows = elementCount(a.shape.slice(0, -1));
    const out = tf.matMul(tf.reshape(a, [rows, inner]), b, false, transposeB);
    return tf.reshape(out, [...a.shape.slice(0, -1), out.shape[1] as number]);
  }
  const batch = broadcastDims(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const spread = (x: Tensor): Tensor => tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  return tf.matMul(spread(a), spread(b), transposeA, transposeB);
}

function scaled(tf: TensorFlow, x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : tf.mul(x, factor);
}

const gemm: Operator = (tf, node, inputs) => {
  const y = product(tf, operand(inputs, 0), operand(inputs, 1), truthy(node, 'transA'), truthy(node, 'transB'));
  const times = scaled(tf, y, numberAttribute(node, 'alpha', 1));
  const c = inputs[2];
  return c ? tf.add(times, scaled(tf, c, numberAttribute(node, 'beta', 1))) : times;
};

const fusedMatMul: Operator = (tf, node, inputs) => {
  if (truthy(node, 'transBatchA') || truthy(node, 'transBatchB')) unsupported('FusedMatMul with transBatch');
  const y = product(tf, operand(inputs, 0), operand(inputs, 1), truthy(node, 'transA'), truthy(node, 'transB'));
  return scaled(tf, y, numberAttribute(node, 'alpha', 1));
};

/** x / sqrt(mean(x^2) + eps) * w */
function rmsNorm(tf: TensorFlow, node: Node, x: Tensor, weight: Tensor): [Tensor, Tensor] {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), numberAttribute(node, 'epsilon', 1e-5)));
  return [tf.mul(tf.mul(x, inverse), weight), inverse];
}

const simplifiedNorm: Operator = (tf, node, inputs) => rmsNorm(tf, node, operand(inputs, 0), operand(inputs, 1));

/** (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w + b */
const layerNorm: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const scaled = rmsNorm(tf, node, centred, operand(inputs, 1))[0];
  return inputs[2] ? tf.add(scaled, inputs[2]) : scaled;
};

const skipNorm: Operator = (tf, node, inputs) => {
  let sum = tf.add(operand(inputs, 0), operand(inputs, 1));
  if (inputs[3]) sum = tf.add(sum, inputs[3]);
  const [y, inverse] = rmsNorm(tf, node, sum, operand(inputs, 2));
  return [y, inverse, inverse, sum];
};

export const products: OperatorTable = {
  MatMul: (tf, _, inputs) => product(tf, operand(inputs, 0), operand(inputs, 1)),
  Gemm: gemm,
  [`${microsoft}.FusedMatMul`]: fusedMatMul,
  SimplifiedLayerNormalization: simplifiedNorm,
  [`${microsoft}.SimplifiedLayerNormalization`]: simplifiedNorm,
  RMSNormalization: simplifiedNorm,
  LayerNormalization: layerNorm,
  [`${microsoft}.SkipSimplifiedLayerNormalization`]: skipNorm,
};
