/** Flows of lookups in a table. */

import { dimOf } from './dims.js';
import type { Flow } from './flow-site.js';

/** Looks up rows of a constant by token, or constant indices within a token. */
export const gather: Flow = (site) => {
  const data = site.input(0);
  if (data?.kind === 'tokens') {
    const axis = site.withinToken(data.dims, site.number('axis', 0));
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
