/**
 * One flow per kind of operator: a function that returns the operator's output values from its input values, with their
 * shapes. A flow refuses an operator that lets one token see another, because tokens may meet in attention only:
 * prompts are computed in pieces, rows of different lengths share a step, and the learner packs several completions
 * into one row.
 */

import { intsAttribute } from '../../onnx/index.js';
import {
  broadcast,
  type Dim,
  dimOf,
  hasTokens,
  normal,
  regroup,
  sameDim,
  sameDims,
  sizeOf,
  type Target,
} from './dims.js';
import type { FlowSite, TokenValue, Value } from './value.js';

/** Returns the values of a node's first outputs. Further outputs may not be read. Throws `OPERATOR_UNSUPPORTED`. */
export type Flow = (site: FlowSite) => readonly Value[];

/** The output has the shape of the first input. Other inputs must be constant. */
export const tokenwise: Flow = (site) => {
  for (let i = 1; i < site.count; i++) if (site.given(i)) site.constant(i);
  return [site.result(site.tokens(0).dims)];
};

/** As {@link tokenwise}, with a bias for the last axis. */
export const biased: Flow = (site) => {
  const { dims } = site.tokens(0);
  if (site.given(1)) vectorOf(site, 1, dims.at(-1) as Dim);
  return [site.result(dims)];
};

/** All inputs are broadcast against each other. */
export const elementwise: Flow = (site) => {
  const present = Array.from({ length: site.count }, (_, i) => i).filter((i) => site.given(i));
  const first = present.find((i) => site.input(i)?.kind === 'tokens') as number;
  let dims = site.tokens(first).dims;
  for (const i of present) {
    const constant = site.input(i)?.kind === 'constant';
    const other = constant ? site.constant(i).map(dimOf) : site.tokens(i).dims;
    const joined = broadcast(dims, other, constant);
    if (joined === undefined) throw site.refuseShapes();
    dims = joined;
  }
  return [site.result(dims)];
};

/**
 * Casts to float32, int32, int64 and bool only. These types hold the values of the decoder, its positions and its
 * masks.
 */
export const cast: Flow = (site) => {
  const to = site.number('to', 1);
  if (![1, 6, 7, 9].includes(to)) {
    throw site.refuse(`it casts to the ONNX type ${to}, not to float32`, 'export the model in float32');
  }
  return tokenwise(site);
};

/** The operator works along one axis, which must lie within a token. */
export const alongAxis: Flow = (site) => {
  const { dims } = site.tokens(0);
  withinToken(site, dims, site.number('axis', -1));
  return [site.result(dims)];
};

/** Normalises along the last axis; scales and biases have its size. */
export const norm: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axis = site.axis(site.number('axis', -1), dims.length);
  if (axis !== dims.length - 1)
    throw site.refuse(`it normalises from axis ${axis} of ${dims.length} on, not along the last axis only`);
  withinToken(site, dims, axis);
  for (let i = 1; i < site.count; i++) if (site.given(i)) vectorOf(site, i, dims.at(-1) as Dim);
  return [site.result(dims)];
};

/** As {@link norm}, of the sum of two values. The sum is the fourth output. */
export const skipNorm: Flow = (site) => {
  const { dims } = site.tokens(0);
  if (!sameDims(dims, site.tokens(1).dims)) throw site.refuseShapes();
  withinToken(site, dims, -1);
  for (let i = 2; i < site.count; i++) if (site.given(i)) vectorOf(site, i, dims.at(-1) as Dim);
  const value = site.result(dims);
  return [value, value, value, value];
};

function vectorOf(site: FlowSite, index: number, dim: Dim): void {
  const constant = site.constant(index);
  if (constant.length === 1 && sameDim(dimOf(constant[0] as number), dim)) return;
  throw site.refuse(`input ${index} is [${constant.join(', ')}], not a vector of the size of the last axis`);
}

function withinToken(site: FlowSite, dims: readonly Dim[], axis: number): number {
  const normalAxis = site.axis(axis, dims.length);
  if (hasTokens(dims[normalAxis] as Dim))
    throw site.refuse(`it works along axis ${normalAxis}, which runs over tokens`);
  return normalAxis;
}

export const reduce: Flow = (site) => {
  const { dims } = site.tokens(0);
  const named = site.given(1) ? site.ints(1) : [];
  if (named.length === 0 && site.number('noop_with_empty_axes', 0) !== 0) return [site.result(dims)];
  const axes = new Set((named.length === 0 ? [...dims.keys()] : named).map((axis) => withinToken(site, dims, axis)));
  const keeps = site.number('keepdims', 1) !== 0;
  return [site.result(dims.flatMap((dim, axis) => (axes.has(axis) ? (keeps ? [[]] : []) : [dim])))];
};

/** x W with a constant W [in, out]. */
export const product: Flow = (site) => {
  const left = site.input(0);
  const right = site.input(1);
  if (left?.kind === 'tokens' && right?.kind === 'tokens') {
    throw site.refuse('it multiplies two values that depend on the tokens, as attention does');
  }
  const transposed = site.number('transB', 0) !== 0;
  if (site.number('transA', 0) !== 0 || site.number('transBatchA', 0) !== 0 || site.number('transBatchB', 0) !== 0) {
    throw site.refuse('it transposes the tokens before it multiplies');
  }
  const { dims } = site.tokens(0);
  const weight = site.constant(1);
  if (weight.length !== 2) throw site.refuse(`its weight is [${weight.join(', ')}], not a matrix`);
  const [inner, outer] = (transposed ? [...weight].reverse() : weight) as [number, number];
  return [site.result(multiplied(site, dims, inner, outer))];
};

/** alpha x W + beta c, with a matrix x. */
export const gemm: Flow = (site) => {
  const [value] = product(site) as [TokenValue];
  if (value.dims.length !== 2) throw site.refuse(`it multiplies a value of ${value.dims.length} dimensions`);
  if (site.given(2) && broadcast(value.dims, site.constant(2).map(dimOf), true)?.length !== 2)
    throw site.refuseShapes();
  return [value];
};

/**
 * x W with W in codes [out, blocks, bytes per block]. Each block has a scale and may have a zero point, packed like the
 * codes. The sizes are checked here, because onnxruntime checks them only when it gets the weights.
 */
export const quantizedProduct: Flow = (site) => {
  const { dims } = site.tokens(0);
  const [inner, outer] = [site.number('K', 0), site.number('N', 0)];
  const [bits, blockSize] = [site.number('bits', 4), site.number('block_size', 0)];
  const blocks = Math.ceil(inner / blockSize);
  const counts = [[outer * blocks * Math.ceil((blockSize * bits) / 8)], [outer * blocks]];
  // Zero points are packed like codes, or floats.
  if (site.given(3)) counts.push([outer * Math.ceil((blocks * bits) / 8), outer * blocks]);
  for (const [i, expected] of counts.entries()) {
    const shape = site.constant(i + 1);
    const count = shape.reduce((product, size) => product * size, 1);
    if (expected.includes(count)) continue;
    throw site.refuse(
      `input ${i + 1} is [${shape.join(', ')}], which does not fit its attributes (N ${outer}, K ${inner}, block_size ${blockSize})`,
      'quantise or export the model again',
    );
  }
  if (site.given(5)) vectorOf(site, 5, dimOf(outer));
  return [site.result(multiplied(site, dims, inner, outer))];
};

function multiplied(site: FlowSite, dims: readonly Dim[], inner: number, outer: number): Dim[] {
  if (sizeOf(dims.at(-1)) !== inner) throw site.refuseShapes();
  return [...dims.slice(0, -1), dimOf(outer)];
}

/** Looks up rows of a constant by token, or constant indices within a token. */
export const gather: Flow = (site) => {
  const data = site.input(0);
  if (data?.kind === 'tokens') {
    const axis = withinToken(site, data.dims, site.number('axis', 0));
    return [site.result([...data.dims.slice(0, axis), ...site.constant(1).map(dimOf), ...data.dims.slice(axis + 1)])];
  }
  const table = site.constant(0);
  const axis = site.axis(site.number('axis', 0), table.length);
  const rows = table.map(dimOf);
  return [site.result([...rows.slice(0, axis), ...site.tokens(1).dims, ...rows.slice(axis + 1)])];
};

/** Looks up rows of a table in codes. Two codes of 4 bits share a byte. */
export const gatherQuantized: Flow = (site) => {
  const [rows = 0, bytes = 0] = site.constant(0);
  const scales = site.constant(2);
  const width = (bytes * 8) / site.number('bits', 4);
  const blocks = Math.ceil(width / site.number('block_size', 128));
  if (site.constant(0).length !== 2 || scales.join() !== `${rows},${blocks}`) throw site.refuseShapes();
  return [site.result([...site.tokens(1).dims, dimOf(width)])];
};

export const reshape: Flow = (site) => {
  const { dims } = site.tokens(0);
  const shape = site.input(1);
  const targets: readonly Target[] = shape?.kind === 'sizes' ? shape.sizes : site.ints(1);
  const zeros = targets.includes(0);
  if (zeros && site.number('allowzero', 0) !== 0) throw site.refuse('it makes a dimension of size 0');
  const result = regroup(dims, targets);
  if (result === undefined) throw site.refuseShapes();
  return [site.result(result)];
};

export const flatten: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axis = site.number('axis', 1);
  const at = axis < 0 ? axis + dims.length : axis;
  return [site.result([normal(dims.slice(0, at).flat()), normal(dims.slice(at).flat())])];
};

export const transpose: Flow = (site) => {
  const { dims } = site.tokens(0);
  const perm = intsAttribute(site.node, 'perm') ?? [...dims.keys()].reverse();
  return [site.result(perm.map((axis) => dims[axis] ?? []))];
};

export const unsqueeze: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axes = site.ints(1);
  const rank = dims.length + axes.length;
  const added = new Set(axes.map((axis) => site.axis(axis, rank)));
  const rest = [...dims];
  return [site.result(Array.from({ length: rank }, (_, axis) => (added.has(axis) ? [] : (rest.shift() as Dim))))];
};

export const squeeze: Flow = (site) => {
  const { dims } = site.tokens(0);
  const named = site.given(1) ? new Set(site.ints(1).map((axis) => site.axis(axis, dims.length))) : undefined;
  return [site.result(dims.filter((dim, axis) => (named ? !named.has(axis) : dim.length > 0)))];
};

/** Splits along an axis within a token. */
export const split: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axis = withinToken(site, dims, site.number('axis', 0));
  const count = site.node.outputs.length;
  const whole = sizeOf(dims[axis]) as number;
  const piece = Math.ceil(whole / count);
  const sizes = site.given(1)
    ? site.ints(1)
    : Array.from({ length: count }, (_, i) => Math.max(0, Math.min(piece, whole - i * piece)));
  return sizes.map((size) => site.result(dims.map((dim, i) => (i === axis ? dimOf(size) : dim))));
};

/** Cuts a part out of each token. */
export const slice: Flow = (site) => {
  const dims = [...site.tokens(0).dims];
  const [starts, ends] = [site.ints(1), site.ints(2)];
  const axes = site.given(3) ? site.ints(3) : [...starts.keys()];
  const steps = site.given(4) ? site.ints(4) : starts.map(() => 1);
  for (const [i, start] of starts.entries()) {
    const axis = withinToken(site, dims, axes[i] as number);
    const size = sizeOf(dims[axis]) as number;
    const step = steps[i] as number;
    const clamp = (at: number): number => {
      const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
      return Math.max(low, Math.min(high, at < 0 ? at + size : at));
    };
    dims[axis] = dimOf(Math.max(0, Math.ceil((clamp(ends[i] as number) - clamp(start)) / step)));
  }
  return [site.result(dims)];
};

/** Joins parts of the same token. */
export const concat: Flow = (site) => {
  const parts = Array.from({ length: site.count }, (_, i) => site.tokens(i).dims);
  const [first] = parts as [readonly Dim[]];
  const axis = withinToken(site, first, site.number('axis', 0));
  let total = 0;
  for (const part of parts) {
    withinToken(site, part, axis);
    if (!sameDims(part.toSpliced(axis, 1), first.toSpliced(axis, 1))) throw site.refuseShapes();
    total += sizeOf(part[axis]) as number;
  }
  return [site.result(first.toSpliced(axis, 1, dimOf(total)))];
};

export const shape: Flow = (site) => {
  const { dims } = site.tokens(0);
  const rank = dims.length;
  const [start, end] = [site.number('start', 0), site.number('end', rank)];
  return [{ kind: 'sizes', sizes: dims.slice(start, end), scalar: false }];
};

const perToken: readonly Dim[] = [['B'], ['S']];

/** RotaryEmbedding of com.microsoft, with inputs value, positions, cosines, sines. */
export const rotary: Flow = (site) => turned(site, { positions: 1, cos: 2, sin: 3 });

/**
 * RotaryEmbedding of ai.onnx, with inputs value, cosines, sines and, unless the tables have a row per token, positions.
 */
export const onnxRotary: Flow = (site) => turned(site, { positions: 3, cos: 1, sin: 2 });

function turned(site: FlowSite, place: { positions: number; cos: number; sin: number }): readonly Value[] {
  const { dims } = site.tokens(0);
  const byHead = dims.length === 4;
  const [batch, length] = byHead ? [dims[0], dims[2]] : dims;
  const isByToken = sameDims([batch ?? [], length ?? []], perToken) && (byHead || dims.length === 3);
  if (!isByToken) throw site.refuseShapes();
  if (site.given(place.positions)) {
    const positions = site.tokens(place.positions);
    if (!sameDims(positions.dims, perToken)) throw site.refuseShapes();
    if (positions.dependsOnIds) throw site.refuse('its positions depend on the token ids');
  }
  const widths = [place.cos, place.sin].map((i) => {
    if (!site.given(place.positions)) return sizeOf(site.tokens(i).dims[2]);
    const table = site.constant(i);
    return table.length === 2 ? table[1] : undefined;
  });
  const heads = site.number('num_heads', 0);
  const part = site.number('rotary_embedding_dim', 0) || site.headSize;
  const width = sizeOf(dims.at(-1)) ?? 0;
  const headSize = byHead ? width : heads > 0 ? width / heads : part;
  if (headSize !== site.headSize || widths.some((half) => half !== part / 2)) {
    throw site.refuse(
      `it rotates ${part} of the ${headSize} numbers of a head with tables of width ${widths.join(' and ')}, ` +
        `but heads have ${site.headSize}`,
      'export the model again',
    );
  }
  return [site.result(dims)];
}
