/** Flows of norms, softmax and reductions, which work along an axis. */

import { type Dim, sameDims } from './dims.js';
import type { Flow } from './flow-site.js';

/** The operator works along one axis, which must lie within a token. */
export const alongAxis: Flow = (site) => {
  const { dims } = site.tokens(0);
  site.withinToken(dims, site.number('axis', -1));
  return [site.result(dims)];
};

/** Normalises along the last axis; scales and biases have its size. */
export const norm: Flow = (site) => {
  const { dims } = site.tokens(0);
  const axis = site.axis(site.number('axis', -1), dims.length);
  if (axis !== dims.length - 1)
    throw site.refuse(`it normalises from axis ${axis} of ${dims.length} on, not along the last axis only`);
  site.withinToken(dims, axis);
  for (let i = 1; i < site.count; i++) if (site.given(i)) site.checkVector(i, dims.at(-1) as Dim);
  return [site.result(dims)];
};

/** As {@link norm}, of the sum of two values. The sum is the fourth output. */
export const skipNorm: Flow = (site) => {
  const { dims } = site.tokens(0);
  if (!sameDims(dims, site.tokens(1).dims)) throw site.refuseShapes();
  site.withinToken(dims, -1);
  for (let i = 2; i < site.count; i++) if (site.given(i)) site.checkVector(i, dims.at(-1) as Dim);
  const value = site.result(dims);
  return [value, value, value, value];
};

export const reduce: Flow = (site) => {
  const { dims } = site.tokens(0);
  const named = site.given(1) ? site.ints(1) : [];
  if (named.length === 0 && site.number('noop_with_empty_axes', 0) !== 0) return [site.result(dims)];
  const axes = new Set((named.length === 0 ? [...dims.keys()] : named).map((axis) => site.withinToken(dims, axis)));
  const keeps = site.number('keepdims', 1) !== 0;
  return [site.result(dims.flatMap((dim, axis) => (axes.has(axis) ? (keeps ? [[]] : []) : [dim])))];
};
