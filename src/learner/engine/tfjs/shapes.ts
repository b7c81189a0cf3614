/** Operators that move, select and create values, in TF.js. */

import type { Tensor1D } from '@tensorflow/tfjs';
import { elementCount, intsAttribute, numberAttribute } from '../../../onnx/index.js';
import { constant } from './constants.js';
import {
  broadcastDims,
  ints,
  normalAxis,
  type Operator,
  type OperatorTable,
  oneHot,
  operand,
  type Tensor,
  type TensorFlow,
  unsupported,
} from './values.js';

/** The indices as a flat list, with negative ones counted from the end. */
function flatIndices(tf: TensorFlow, indices: Tensor, dim: number): Tensor1D {
  return tf.tensor1d(
    ints(indices).map((i) => (i < 0 ? i + dim : i)),
    'int32',
  );
}

function gatherAxis(tf: TensorFlow, x: Tensor, indices: Tensor, axis: number): Tensor {
  const flat = flatIndices(tf, indices, x.shape[axis] as number);
  const picked = axis === 0 && x.dtype === 'float32' ? gatherRows(tf, x, flat) : tf.gather(x, flat, axis);
  return tf.reshape(picked, [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
}

/**
 * Selects rows. dX = dY added up at the selected rows; TF.js's own gradient needs a kernel that its wasm backend lacks.
 */
function gatherRows(tf: TensorFlow, x: Tensor, indices: Tensor1D): Tensor {
  const rows = tf.customGrad((values, save) => {
    (save as (tensors: Tensor[]) => void)([indices]);
    return {
      value: tf.gather(values as Tensor, indices),
      gradFunc: (dy: Tensor, [at]: Tensor[]) => tf.scatterND(tf.expandDims(at as Tensor, 1), dy, x.shape),
    };
  });
  return rows(x);
}

/** out[.., k, ..] = x[.., indices[.., k, ..], ..]: a product with one-hot rows, so that TF.js knows the gradient. */
function gatherElements(tf: TensorFlow, x: Tensor, indices: Tensor, axis: number): Tensor {
  const last = x.rank - 1;
  const swap = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
  const values = tf.transpose(x, swap);
  const picks = tf.transpose(indices, swap);
  const dim = values.shape[last] as number;
  const rows = elementCount(values.shape.slice(0, -1));
  const count = picks.shape[last] as number;
  const hot = tf.reshape(oneHot(tf, flatIndices(tf, picks, dim), dim), [rows, count, dim]);
  const out = tf.matMul(hot, tf.reshape(tf.cast(values, 'float32'), [rows, dim, 1]));
  return tf.cast(tf.transpose(tf.reshape(out, picks.shape), swap), x.dtype as 'float32');
}

/** Rows by linear index into the axes that the index tuples address. */
function gatherNd(tf: TensorFlow, x: Tensor, indices: Tensor, batchDims: number): Tensor {
  const width = indices.shape.at(-1) as number;
  const addressed = x.shape.slice(batchDims, batchDims + width);
  const rest = x.shape.slice(batchDims + width);
  const batch = elementCount(x.shape.slice(0, batchDims));
  const tuples = elementCount(indices.shape.slice(batchDims, -1));
  const values = ints(indices);
  const linear = Array.from({ length: batch * tuples }, (_, tuple) => {
    let index = Math.floor(tuple / tuples);
    for (let i = 0; i < width; i++) {
      const dim = addressed[i] as number;
      const at = values[tuple * width + i] as number;
      index = index * dim + (at < 0 ? at + dim : at);
    }
    return index;
  });
  const flat = tf.reshape(x, [batch * elementCount(addressed), elementCount(rest)]);
  return tf.reshape(tf.gather(flat, tf.tensor1d(linear, 'int32')), [...indices.shape.slice(0, -1), ...rest]);
}

function sliceAxis(tf: TensorFlow, x: Tensor, axis: number, start: number, end: number, step: number): Tensor {
  const dim = x.shape[axis] as number;
  const clamp = (at: number, low: number, high: number): number =>
    Math.max(low, Math.min(high, at < 0 ? at + dim : at));
  const from = step > 0 ? clamp(start, 0, dim) : clamp(start, 0, dim - 1);
  const to = step > 0 ? clamp(end, 0, dim) : clamp(end, -1, dim - 1);
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (step === 1) {
    const begin = x.shape.map((_, i) => (i === axis ? from : 0));
    return tf.slice(
      x,
      begin,
      x.shape.map((size, i) => (i === axis ? count : size)),
    );
  }
  return tf.gather(
    x,
    tf.tensor1d(
      Array.from({ length: count }, (_, i) => from + i * step),
      'int32',
    ),
    axis,
  );
}

const slice: Operator = (tf, _, inputs) => {
  let x = operand(inputs, 0);
  const starts = ints(operand(inputs, 1));
  const ends = ints(operand(inputs, 2));
  const axes = inputs[3] ? ints(inputs[3]) : starts.map((_, i) => i);
  const steps = inputs[4] ? ints(inputs[4]) : starts.map(() => 1);
  for (const [i, axis] of axes.entries()) {
    x = sliceAxis(tf, x, normalAxis(axis, x.rank), starts[i] as number, ends[i] as number, steps[i] as number);
  }
  return x;
};

const split: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const axis = normalAxis(numberAttribute(node, 'axis', 0), x.rank);
  if (inputs[1]) return tf.split(x, ints(inputs[1]), axis);
  // Equal pieces; the last one is smaller if the size does not divide.
  const count = node.outputs.length;
  const size = x.shape[axis] as number;
  const piece = Math.ceil(size / count);
  return tf.split(
    x,
    Array.from({ length: count }, (_, i) => Math.max(0, Math.min(piece, size - i * piece))),
    axis,
  );
};

const reshape: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const keepsZero = numberAttribute(node, 'allowzero', 0) === 0;
  const dims = ints(operand(inputs, 1)).map((dim, axis) => (dim === 0 && keepsZero ? (x.shape[axis] as number) : dim));
  return tf.reshape(x, dims);
};

const squeeze: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const named = inputs[1] ? ints(inputs[1]) : intsAttribute(node, 'axes');
  const axes = new Set(named?.map((axis) => normalAxis(axis, x.rank)));
  return tf.reshape(
    x,
    x.shape.filter((dim, axis) => (named ? !axes.has(axis) : dim !== 1)),
  );
};

const unsqueeze: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const named = inputs[1] ? ints(inputs[1]) : (intsAttribute(node, 'axes') ?? []);
  const rank = x.rank + named.length;
  const dims = [...x.shape];
  for (const axis of named.map((axis) => normalAxis(axis, rank)).sort((a, b) => a - b)) dims.splice(axis, 0, 1);
  return tf.reshape(x, dims);
};

const trilu: Operator = (tf, node, inputs) => {
  const x = operand(inputs, 0);
  const diagonal = inputs[1] ? (ints(inputs[1])[0] as number) : 0;
  const upper = numberAttribute(node, 'upper', 1) !== 0;
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const keep = Array.from({ length: rows * columns }, (_, i) => {
    const offset = (i % columns) - Math.floor(i / columns);
    return upper ? offset >= diagonal : offset <= diagonal;
  });
  return tf.where(tf.tensor2d(Uint8Array.from(keep, Number), [rows, columns], 'bool'), x, tf.zerosLike(x));
};

export const shapes: OperatorTable = {
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Slice: slice,
  Split: split,
  Trilu: trilu,
  Flatten: (tf, node, inputs) => {
    const x = operand(inputs, 0);
    const axis = normalAxis(numberAttribute(node, 'axis', 1), x.rank);
    return tf.reshape(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))]);
  },
  Transpose: (tf, node, inputs) => tf.transpose(operand(inputs, 0), intsAttribute(node, 'perm')?.slice()),
  Expand: (tf, _, inputs) => {
    const x = operand(inputs, 0);
    return tf.broadcastTo(x, broadcastDims(x.shape, ints(operand(inputs, 1))));
  },
  Tile: (tf, _, inputs) => tf.tile(operand(inputs, 0), ints(operand(inputs, 1))),
  Concat: (tf, node, inputs) =>
    tf.concat(
      inputs.map((_, i) => operand(inputs, i)),
      numberAttribute(node, 'axis', 0),
    ),
  Gather: (tf, node, inputs) => {
    const x = operand(inputs, 0);
    return gatherAxis(tf, x, operand(inputs, 1), normalAxis(numberAttribute(node, 'axis', 0), x.rank));
  },
  GatherElements: (tf, node, inputs) => {
    const x = operand(inputs, 0);
    return gatherElements(tf, x, operand(inputs, 1), normalAxis(numberAttribute(node, 'axis', 0), x.rank));
  },
  GatherND: (tf, node, inputs) =>
    gatherNd(tf, operand(inputs, 0), operand(inputs, 1), numberAttribute(node, 'batch_dims', 0)),

  Shape: (tf, node, inputs) => {
    const { shape, rank } = operand(inputs, 0);
    const start = normalAxis(numberAttribute(node, 'start', 0), rank);
    return tf.tensor1d(shape.slice(start, normalAxis(numberAttribute(node, 'end', rank), rank)), 'int32');
  },
  Size: (tf, _, inputs) => tf.scalar(operand(inputs, 0).size, 'int32'),
  Range: (tf, _, inputs) => {
    const [start, limit, step] = [0, 1, 2].map((i) => operand(inputs, i).dataSync()[0] as number) as [
      number,
      number,
      number,
    ];
    const count = Math.max(0, Math.ceil((limit - start) / step));
    return tf.tensor1d(
      Array.from({ length: count }, (_, i) => start + i * step),
      operand(inputs, 0).dtype as 'int32',
    );
  },
  ConstantOfShape: (tf, node, inputs) => {
    const value = node.attributes.value;
    const fill = value !== undefined && 't' in value ? tf.reshape(constant(tf, value.t), []) : tf.scalar(0);
    return tf.fill(ints(operand(inputs, 0)), fill.dataSync()[0] as number, fill.dtype as 'float32');
  },
  Constant: (tf, node) => {
    const { value, value_int, value_ints, value_float, value_floats } = node.attributes;
    if (value !== undefined && 't' in value) return constant(tf, value.t);
    if (value_int !== undefined && 'i' in value_int) return tf.scalar(value_int.i, 'int32');
    if (value_ints !== undefined && 'is' in value_ints) return tf.tensor1d([...value_ints.is], 'int32');
    if (value_float !== undefined && 'f' in value_float) return tf.scalar(value_float.f);
    if (value_floats !== undefined && 'fs' in value_floats) return tf.tensor1d([...value_floats.fs]);
    return unsupported(`Constant ${node.name} in this form`);
  },
};
