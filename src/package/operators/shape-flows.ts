/** Flows of operators that move, split or join elements without changing them. */

import { intsAttribute } from '../../onnx/index.js';
import { type Dim, dimOf, normal, regroup, sameDim, sameDims, sizeOf, type Target } from './dims.js';
import type { Flow } from './flow-site.js';

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

/** Repeats elements within a token. */
export const expand: Flow = (site) => {
  const { dims } = site.tokens(0);
  const shape = site.input(1);
  const targets: readonly Target[] = shape?.kind === 'sizes' ? shape.sizes : site.ints(1);
  const rank = Math.max(dims.length, targets.length);
  const result = Array.from({ length: rank }, (_, axis): Dim => {
    const dim = dims[axis - rank + dims.length] ?? [];
    const target = targets[axis - rank + targets.length] ?? 1;
    const wanted = typeof target === 'number' ? dimOf(target) : target;
    if (wanted.length === 0 || sameDim(dim, wanted)) return dim;
    if (dim.length === 0 && typeof target === 'number') return wanted;
    throw site.refuseShapes();
  });
  return [site.result(result)];
};

/** Repeats the whole of an axis within a token. */
export const tile: Flow = (site) => {
  const { dims } = site.tokens(0);
  const repeats = site.ints(1);
  if (repeats.length !== dims.length) throw site.refuseShapes();
  const result = dims.map((dim, axis) => {
    const count = repeats[axis] as number;
    return count === 1 ? dim : dimOf(count * (sizeOf(dims[site.withinToken(dims, axis)]) as number));
  });
  return [site.result(result)];
};

/** Splits along an axis within a token. */
export const split: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axis = site.withinToken(dims, site.number('axis', 0));
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
    const axis = site.withinToken(dims, axes[i] as number);
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
  const axis = site.withinToken(first, site.number('axis', 0));
  let total = 0;
  for (const part of parts) {
    site.withinToken(part, axis);
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
