/** Operators of decoders, in TF.js: rotary positions, quantised embeddings, Hone's composites for log-probabilities. */

import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { microsoft, type Node, numberAttribute } from '../../../onnx/index.js';
import {
  type Operator,
  type OperatorTable,
  oneHot,
  operand,
  type Tensor,
  type TensorFlow,
  unsupported,
} from './values.js';

/** The shape of x split into heads. */
interface Heads {
  readonly batch: number;
  readonly length: number;
  readonly headSize: number;
  /** Half the size of the part of a head that is rotated. */
  readonly half: number;
}

/**
 * Rotary positions. x is [B, S, heads * hd] or [B, heads, S, hd]; the tables are [positions, hd/2], and are read at
 * position_ids [B, S], or are [B, S, hd/2] already.
 */
function rotate(
  tf: TensorFlow,
  node: Node,
  x: Tensor,
  positions: Tensor | undefined,
  cos: Tensor,
  sin: Tensor,
): Tensor {
  const half = cos.shape.at(-1) as number;
  const count = numberAttribute(node, 'num_heads', 0);
  const packed = x.rank === 3;
  const headSize = packed ? (count > 0 ? (x.shape[2] as number) / count : 2 * half) : (x.shape[3] as number);
  const byHead = packed
    ? tf.reshape(x, [x.shape[0] as number, x.shape[1] as number, -1, headSize])
    : tf.transpose(x, [0, 2, 1, 3]);
  const [batch, length] = byHead.shape as [number, number];
  const heads = { batch, length, headSize, half };
  const [c, s] = [cos, sin].map((table) => angles(tf, table, positions, heads)) as [Tensor, Tensor];
  const interleaved = numberAttribute(node, 'interleaved', 0) !== 0;
  const [turned, rest] = tf.split(byHead, [2 * half, headSize - 2 * half], 3) as [Tensor, Tensor];
  const out = interleaved ? turnPairs(tf, turned, c, s) : turnHalves(tf, turned, c, s);
  const whole = headSize > 2 * half ? tf.concat([out, rest], 3) : out;
  return packed ? tf.reshape(whole, x.shape) : tf.transpose(whole, [0, 2, 1, 3]);
}

/** The rows of the table for each token, [B or 1, S, 1, hd/2]. */
function angles(tf: TensorFlow, table: Tensor, positions: Tensor | undefined, heads: Heads): Tensor {
  const { batch, length, half } = heads;
  if (positions === undefined) return tf.reshape(table, [batch, length, 1, half]);
  // A single position is the offset of the first token.
  const all =
    positions.size === 1 && batch * length > 1 ? tf.add(tf.range(0, length, 1, 'int32'), positions) : positions;
  const rows = tf.gather(table, tf.reshape(tf.cast(all, 'int32'), [-1]) as Tensor1D);
  return tf.reshape(rows, [all.size === length ? 1 : batch, length, 1, half]);
}

function turnHalves(tf: TensorFlow, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [a, b] = tf.split(x, 2, 3) as [Tensor, Tensor];
  return tf.concat(turn(tf, a, b, cos, sin), 3);
}

function turnPairs(tf: TensorFlow, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const pairs = tf.reshape(x, [...x.shape.slice(0, 3), cos.shape.at(-1) as number, 2]);
  const [a, b] = tf.unstack(pairs, 4) as [Tensor, Tensor];
  return tf.reshape(tf.stack(turn(tf, a, b, cos, sin), 4), x.shape);
}

function turn(tf: TensorFlow, a: Tensor, b: Tensor, cos: Tensor, sin: Tensor): [Tensor, Tensor] {
  return [tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(b, cos), tf.mul(a, sin))];
}

/**
 * ln softmax(logits [N, V]) at the targets [N]. The gradient is written out here, (onehot - softmax) dy, because
 * recording it operator by operator would keep half a dozen arrays of the size of the logits.
 */
function tokenLogProbability(tf: TensorFlow, logits: Tensor, targets: Tensor): Tensor {
  const [rows, vocabulary] = logits.shape as [number, number];
  const logprob = tf.customGrad((x, save) => {
    const values = x as Tensor2D;
    const normalizer = tf.logSumExp(values, 1, true);
    const ids = tf.cast(targets, 'int32');
    const at = tf.stack([tf.range(0, rows, 1, 'int32'), ids as Tensor1D], 1);
    (save as (tensors: Tensor[]) => void)([values, normalizer, ids]);
    return {
      value: tf.sub(tf.gatherND(values, at), tf.squeeze(normalizer, [1])),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [z, log, target] = saved as [Tensor, Tensor, Tensor];
        const hot = oneHot(tf, target, vocabulary);
        return tf.mul(tf.sub(hot, tf.exp(tf.sub(z, log))), tf.expandDims(dy, 1));
      },
    };
  });
  return logprob(logits);
}

/** Rows of a table [V, D] of 8-bit codes with a scale per block: `(code - 128) * scale`. It has no gradient. */
const gatherQuantized: Operator = (tf, node, inputs) => {
  const [bits, blockSize] = [numberAttribute(node, 'bits', 4), numberAttribute(node, 'block_size', 128)];
  const axes = [numberAttribute(node, 'gather_axis', 0), numberAttribute(node, 'quantize_axis', 1)];
  if (bits !== 8 || axes.join() !== '0,1' || inputs[3]) unsupported(`${node.op} in this form (node ${node.name})`);
  const [codes, indices, scales] = [0, 1, 2].map((i) => operand(inputs, i)) as [Tensor, Tensor, Tensor];
  const ids = tf.reshape(indices, [-1]) as Tensor1D;
  const centred = tf.sub(tf.cast(tf.gather(codes, ids), 'float32'), 128);
  const blocks = tf.reshape(centred, [ids.size, -1, blockSize]);
  const rows = tf.mul(blocks, tf.reshape(tf.gather(scales, ids), [ids.size, -1, 1]));
  return tf.reshape(rows, [...indices.shape, codes.shape[1] as number]);
};

/** The value, through which no gradient flows. */
function detach(tf: TensorFlow, value: Tensor): Tensor {
  return tf.customGrad((x) => ({ value: tf.clone(x as Tensor), gradFunc: (dy: Tensor) => tf.zerosLike(dy) }))(value);
}

export const decoder: OperatorTable = {
  [`${microsoft}.RotaryEmbedding`]: (tf, node, inputs) =>
    rotate(tf, node, operand(inputs, 0), operand(inputs, 1), operand(inputs, 2), operand(inputs, 3)),
  RotaryEmbedding: (tf, node, inputs) =>
    rotate(tf, node, operand(inputs, 0), inputs[3], operand(inputs, 1), operand(inputs, 2)),
  [`${microsoft}.GatherBlockQuantized`]: gatherQuantized,
  'hone.Detach': (tf, _, inputs) => detach(tf, operand(inputs, 0)),
  // The second output, the whole log-softmax, is read by backward graphs only, and TF.js derives its own.
  'hone.TokenLogProbability': (tf, _, inputs) => tokenLogProbability(tf, operand(inputs, 0), operand(inputs, 1)),
};
