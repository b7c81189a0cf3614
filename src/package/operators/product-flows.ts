/** Flows of products by a constant matrix. */

import { broadcast, type Dim, dimOf, sizeOf } from './dims.js';
import type { Flow, FlowSite } from './flow-site.js';
import type { TokenValue } from './value.js';

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
  if (site.given(5)) site.checkVector(5, dimOf(outer));
  return [site.result(multiplied(site, dims, inner, outer))];
};

function multiplied(site: FlowSite, dims: readonly Dim[], inner: number, outer: number): Dim[] {
  if (sizeOf(dims.at(-1)) !== inner) throw site.refuseShapes();
  return [...dims.slice(0, -1), dimOf(outer)];
}
