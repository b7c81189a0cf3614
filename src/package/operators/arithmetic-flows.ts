/** Flows of arithmetic, comparisons and casts, which combine elements at the same position. */

import { broadcast, type Dim, dimOf } from './dims.js';
import type { Flow } from './flow-site.js';

/** The output has the shape of the first input. Other inputs must be constant. */
export const tokenwise: Flow = (site) => {
  for (let i = 1; i < site.count; i++) if (site.given(i)) site.constant(i);
  return [site.result(site.tokens(0).dims)];
};

/** As {@link tokenwise}, with a bias for the last axis. */
export const biased: Flow = (site) => {
  const { dims } = site.tokens(0);
  if (site.given(1)) site.checkVector(1, dims.at(-1) as Dim);
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
