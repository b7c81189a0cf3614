/** Flows of rotary positions. */

import { type Dim, sameDims, sizeOf } from './dims.js';
import type { Flow, FlowSite } from './flow-site.js';
import type { Value } from './value.js';

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
