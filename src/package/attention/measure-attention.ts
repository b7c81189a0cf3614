/**
 * Measures attention that a file spells out: the factor of the scores, their bound, and which keys a token sees. Then the
 * whole of it is compared with attention of that form, so that nothing of it need be recognised.
 */

import type { Graph } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';
import { compareAttention } from './compare-attention.js';
import type { ProbedDims, SizeNames } from './fold-shapes.js';
import { measureFactors } from './measure-factors.js';
import { measureWindows } from './measure-windows.js';
import { type MeasuredAttention, remedy } from './measured-attention.js';
import { shapeTwin } from './shape-twin.js';
import type { SpelledAttention } from './spelled-attention.js';

/**
 * @param dims of queries, keys, values and possible outputs
 * @throws HoneError `OPERATOR_UNSUPPORTED` that names the softmax of attention of another form
 */
export async function measureAttention(
  graph: Graph,
  sites: readonly SpelledAttention[],
  sizes: SizeNames,
  dims: ProbedDims,
): Promise<MeasuredAttention[]> {
  const shaped = sites.map((site) => withSizes(site, dims));
  const twin = shapeTwin(graph);
  const windows = await measureWindows(twin, shaped, sizes);
  const factors = await measureFactors(twin, shaped);
  const measured = shaped.map((site, i): MeasuredAttention => {
    return { ...site, form: { ...site.form, ...factors[i], window: windows[i] as number | null } };
  });
  await compareAttention(twin, measured);
  return measured;
}

/** Reads the number of heads from the shapes, and finds the value with the heads side by side. */
function withSizes(site: SpelledAttention, dims: ProbedDims): MeasuredAttention {
  const shapeOf = (name: string): readonly number[] => dims.get(name)?.[0] ?? [];
  const [query, key, value] = [shapeOf(site.query), shapeOf(site.newKey), shapeOf(site.newValue)];
  const [rows = 0, heads = 0, tokens = 0, headSize = 0] = query;
  const kvHeads = key[1] ?? 0;
  const expected = [rows, kvHeads, tokens, headSize].join();
  if (query.length !== 4 || key.join() !== expected || value.join() !== expected || heads % kvHeads !== 0) {
    throw refuseNode(
      site.softmax,
      `its query is [${query}], its key [${key}] and its value [${value}] in a probe of ${rows} rows of ${tokens} tokens, ` +
        'not [rows, heads, tokens, size] with whole groups of heads',
      remedy,
    );
  }
  const joined = [[rows, tokens, heads * headSize].join(), [rows * tokens, heads * headSize].join()];
  const output = joined.flatMap((shape) => site.outputs.find((name) => shapeOf(name).join() === shape) ?? [])[0];
  if (output === undefined) throw refuseNode(site.softmax, 'its heads are not put side by side', remedy);
  return { ...site, output, form: { heads, kvHeads, headSize, scale: 1, window: null, softcap: null } };
}
