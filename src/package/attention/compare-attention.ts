/** Compares attention as a file spells it with attention of its measured form, on random queries, keys and values. */

import { HoneError } from '../../errors.js';
import type { Graph, ValueInfo } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';
import { type MeasuredAttention, remedy } from './measured-attention.js';
import { type Evaluated, floatCut, maskOf, PartRun, type Probe, randomTensor } from './probe-run.js';
import { type AttentionForm, attend } from './reference-attention.js';
import type { SpelledAttention } from './spelled-attention.js';

/** Largest difference of attention's result, whose values lie between -1 and 1. */
const tolerance = 1e-4;

const holes = (columns: readonly number[], length: number): number[] =>
  Array.from({ length }, (_, column) => (columns.includes(column) ? 0 : 1));

/** Whole rows, one token, a chunked prompt, padding at the left, and a gap in the cache. */
const probes: readonly Probe[] = [
  { rows: 2, tokens: 5, past: 0 },
  { rows: 1, tokens: 1, past: 7 },
  { rows: 2, tokens: 3, past: 4 },
  { rows: 2, tokens: 4, past: 3, mask: [holes([0, 1], 7), holes([0, 1, 2, 3, 4], 7)] },
  { rows: 1, tokens: 3, past: 5, mask: [holes([2], 8)] },
];

/** @throws HoneError `OPERATOR_UNSUPPORTED` that names the softmax of attention that computes something else */
export async function compareAttention(twin: Graph, sites: readonly MeasuredAttention[]): Promise<void> {
  const outputs = sites.flatMap((site) => [site.output, ...cachesOf(site).map(([, , cache]) => cache)]);
  await using part = await PartRun.open(twin, outputs, cutsOf(sites));
  for (const probe of probes) {
    const feed = (name: string): Float32Array => feedOf(siteOf(sites, name), name, probe).data as Float32Array;
    const run = await part
      .run(probe, (name) => feedOf(siteOf(sites, name), name, probe))
      .catch((cause: unknown) => {
        const what = `it cannot be computed with ${probe.past} tokens in the cache: ${HoneError.from(cause).message}`;
        throw refuseNode((sites[0] as MeasuredAttention).softmax, what, remedy);
      });
    const valuesOf = (name: string): Float32Array => run.get(name)?.values as Evaluated['values'] as Float32Array;
    for (const site of sites) {
      const [key, value] = cachesOf(site).map(([past, added, cache]) => {
        const joined = joinedCache(probe, site.form, past, feed(added));
        if (joined.every((number, at) => number === valuesOf(cache)[at])) return joined;
        throw refuseNode(site.keyCache, `it does not append ${added} to ${past}`, remedy);
      });
      const expected = attend(probe, site.form, feed(site.query), key as Float32Array, value as Float32Array);
      checkResult(site, probe, expected, valuesOf(site.output));
    }
  }
}

function checkResult(site: MeasuredAttention, probe: Probe, expected: Float32Array, found: Float32Array): void {
  let largest = 0;
  for (const [at, number] of expected.entries()) {
    // Nothing reads the result of padding.
    if (Number.isNaN(number)) continue;
    const difference = Math.abs(number - (found[at] as number));
    largest = Math.max(largest, Number.isNaN(difference) ? 1 : difference);
  }
  if (largest <= tolerance) return;
  const masks = maskOf(probe).map((one) => one.join(''));
  throw refuseNode(
    site.softmax,
    `its result differs by ${largest.toPrecision(2)} from that of causal attention in a probe with ${probe.past} tokens in ` +
      `the cache and the mask ${masks.join(' ')}`,
    remedy,
  );
}

/** Queries, keys and values of the step become inputs, so that each layer is computed by itself. */
export const cutsOf = (sites: readonly MeasuredAttention[]): Map<string, ValueInfo> =>
  new Map(sites.flatMap(({ query, newKey, newValue }) => [query, newKey, newValue].map((name) => [name, floatCut(4)])));

/** Returns the attention that reads a value of {@link cutsOf}. */
export const siteOf = (sites: readonly MeasuredAttention[], name: string): MeasuredAttention =>
  sites.find(({ query, newKey, newValue }) => [query, newKey, newValue].includes(name)) as MeasuredAttention;

const feedOf = ({ form, query }: MeasuredAttention, name: string, { rows, tokens }: Probe) =>
  randomTensor(name, [rows, name === query ? form.heads : form.kvHeads, tokens, form.headSize]);

/** The names of what a cache was, of what a step adds, and of the cache then; for keys and for values. */
const cachesOf = ({ layer, newKey, newValue, keyCache, valueCache }: SpelledAttention): [string, string, string][] => [
  [`past_key_values.${layer}.key`, newKey, keyCache.outputs[0] as string],
  [`past_key_values.${layer}.value`, newValue, valueCache.outputs[0] as string],
];

/** Returns [B, kvHeads, P + S, D]: what the probe feeds for the cache, and behind it what the step adds. */
function joinedCache(
  { rows, tokens, past }: Probe,
  { kvHeads, headSize }: AttentionForm,
  name: string,
  added: Float32Array,
): Float32Array {
  const cached = randomTensor(name, [rows, kvHeads, past, headSize]).data as Float32Array;
  const [before, behind] = [past * headSize, tokens * headSize];
  const joined = new Float32Array(rows * kvHeads * (before + behind));
  for (let head = 0; head < rows * kvHeads; head++) {
    joined.set(cached.subarray(head * before, (head + 1) * before), head * (before + behind));
    joined.set(added.subarray(head * behind, (head + 1) * behind), head * (before + behind) + before);
  }
  return joined;
}
