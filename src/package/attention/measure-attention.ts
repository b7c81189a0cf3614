/**
 * Measures attention that a file spells out: the factor of the scores, their bound, and which keys a token sees. Then the
 * whole of it is compared with attention of that form, so that nothing of it need be recognised.
 */

import { Tensor as OrtTensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import type { Graph, Node, ValueInfo } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';
import type { ProbedDims, SizeNames } from './fold-shapes.js';
import { type Evaluated, evaluate, maskOf, type Probe, randomTensor } from './probe-run.js';
import { type AttentionForm, attend, isSeen } from './reference-attention.js';
import { shapeTwin } from './shape-twin.js';
import type { SpelledAttention } from './spelled-attention.js';

/** A site with its form. */
export interface MeasuredAttention extends SpelledAttention {
  readonly form: AttentionForm;
  /** The value that attention's result has taken, [B, S, heads * headSize] or [B * S, heads * headSize]. */
  readonly output: string;
}

const remedy = 'export the model with plain causal attention, or serve another model';

/** Columns of the cache in which a window is looked for. A longer one is taken for attention to all keys. */
const longestWindow = 2 ** 18;

/** Scores below this are masked: exp of it is 0. */
const masked = -1e4;

/** Largest difference of attention's result, whose values lie between -1 and 1. */
const tolerance = 1e-4;

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
  const windows = await windowsOf(twin, shaped, sizes);
  const factors = await factorsOf(twin, shaped);
  const measured = shaped.map((site, i): MeasuredAttention => {
    const form = {
      ...site.form,
      window: windows[i] as number | null,
      ...(factors[i] as { scale: number; softcap: null }),
    };
    return { ...site, form };
  });
  await compare(twin, measured);
  return measured;
}

/** Reads the number of heads from the shapes, and finds the value with the heads side by side. */
function withSizes(site: SpelledAttention, dims: ProbedDims): MeasuredAttention {
  const [query, key, value] = [site.query, site.newKey, site.newValue].map((name) => dims.get(name)?.[0] ?? []);
  const [rows, heads = 0, tokens, headSize = 0] = query as number[];
  const kvHeads = (key as number[])[1] ?? 0;
  const expected = [rows, kvHeads, tokens, headSize].join();
  if (query?.length !== 4 || key?.join() !== expected || value?.join() !== expected || heads % kvHeads !== 0) {
    throw refuseNode(
      site.softmax,
      `its query is [${query}], its key [${key}] and its value [${value}] in a probe of ${rows} rows of ${tokens} tokens, ` +
        'not [rows, heads, tokens, size] with whole groups of heads',
      remedy,
    );
  }
  const whole = [rows, tokens, heads * headSize].join();
  const asRows = [(rows as number) * (tokens as number), heads * headSize].join();
  const shapeOf = (name: string): string | undefined => dims.get(name)?.[0]?.join();
  const output =
    site.outputs.find((name) => shapeOf(name) === whole) ?? site.outputs.find((name) => shapeOf(name) === asRows);
  if (output === undefined) throw refuseNode(site.softmax, 'its heads are not put side by side', remedy);
  return { ...site, output, form: { heads, kvHeads, headSize, scale: 1, window: null, softcap: null } };
}

/** Runs a part and names the attention that it belongs to if it does not run. */
async function runOf(
  site: SpelledAttention,
  run: Promise<Map<string, Evaluated>[]>,
): Promise<Map<string, Evaluated>[]> {
  try {
    return await run;
  } catch (cause) {
    throw refuseNode(site.softmax, `it cannot be evaluated: ${HoneError.from(cause).message}`, remedy);
  }
}

/** Finds the keys that a token sees among as many as a window may have. */
async function windowsOf(
  twin: Graph,
  sites: readonly MeasuredAttention[],
  { past }: SizeNames,
): Promise<(number | null)[]> {
  const evaluated = async (probe: Probe): Promise<Evaluated[]> => {
    const cuts = new Map<string, ValueInfo>([[past, { type: 'int64', dims: [1] }]]);
    for (const { scores } of sites) cuts.set(scores.outputs[0] as string, floats(4));
    const feed = (name: string): OrtTensor => {
      if (name === past) return new OrtTensor('int64', BigInt64Array.of(BigInt(probe.past)), [1]);
      const shape = [1, 1, probe.tokens, probe.past + probe.tokens];
      return new OrtTensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
    };
    const names = sites.map(({ softmax }) => softmax.inputs[0] as string);
    const run = await runOf(sites[0] as MeasuredAttention, evaluate(twin, names, [probe], cuts, feed));
    return names.map((name) => run[0]?.get(name) as Evaluated);
  };
  const long: Probe = { rows: 1, tokens: 1, past: longestWindow - 1 };
  const windows = (await evaluated(long)).map(({ values }) => {
    let seen = 0;
    while (seen < values.length && Number(values[values.length - 1 - seen]) > masked) seen += 1;
    return seen === values.length ? null : seen;
  });
  const lengths = new Set([6, ...windows.flatMap((window) => (window === null ? [] : [window - 1, window + 1]))]);
  for (const length of lengths) {
    const probe: Probe = { rows: 1, tokens: 3, past: Math.max(0, length) };
    for (const [i, { values }] of (await evaluated(probe)).entries()) {
      checkMask((sites[i] as MeasuredAttention).softmax, probe, values, windows[i] as number | null);
    }
  }
  return windows;
}

const floats = (rank: number): ValueInfo => ({
  type: 'float32',
  dims: Array.from({ length: rank }, (_, axis) => `cut${axis}`),
});

/** Compares a mask [1, 1, S, P + S] with the one of a window. */
function checkMask(softmax: Node, probe: Probe, values: ArrayLike<number | bigint>, window: number | null): void {
  const total = probe.past + probe.tokens;
  for (let token = 0; token < probe.tokens; token++) {
    for (let column = 0; column < total; column++) {
      const found = Number(values[token * total + column]);
      if (isSeen(probe, 0, token, column, window) ? found === 0 : found <= masked) continue;
      throw refuseNode(
        softmax,
        `its mask adds ${found} to the score of token ${probe.past + token} and key ${column}, which is no mask of ` +
          `${window === null ? 'causal attention' : `a window of ${window} keys`}`,
        remedy,
      );
    }
  }
}

/** Finds the factor and the bound of scores: with q . k = 1, and with a product that any bound cuts off. */
async function factorsOf(
  twin: Graph,
  sites: readonly MeasuredAttention[],
): Promise<{ scale: number; softcap: number | null }[]> {
  const names = sites.map(({ softmax }) => softmax.inputs[0] as string);
  const score = async (product: number): Promise<number[]> => {
    const feed = (name: string, probe: Probe): OrtTensor => {
      const { form } = siteOf(sites, name);
      const isQuery = sites.some(({ query }) => query === name);
      const shape = [probe.rows, isQuery ? form.heads : form.kvHeads, probe.tokens, form.headSize];
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      for (let at = 0; at < data.length; at += form.headSize) data[at] = isQuery ? product : 1;
      return new OrtTensor('float32', data, shape);
    };
    const run = evaluate(twin, names, [{ rows: 1, tokens: 1, past: 0 }], cutsOf(sites), feed);
    const [result] = await runOf(sites[0] as MeasuredAttention, run);
    return names.map((name) => Number(result?.get(name)?.values[0]));
  };
  const [one, huge, more] = [await score(1), await score(1e6), await score(1e7)];
  return sites.map(({ softmax, form }, i) => {
    const [small, large, larger] = [one[i], huge[i], more[i]] as [number, number, number];
    const isBounded = large === larger;
    const scale = isBounded ? large * Math.atanh(small / large) : small;
    if (!(scale > 0) || (!isBounded && Math.abs(large / 1e6 / scale - 1) > 1e-4)) {
      throw refuseNode(softmax, `scores of 1, 1e6 and 1e7 become ${small}, ${large} and ${larger}`, remedy);
    }
    const usual = 1 / Math.sqrt(form.headSize);
    return { scale: Math.abs(scale / usual - 1) < 1e-5 ? usual : scale, softcap: isBounded ? large : null };
  });
}

const siteOf = (sites: readonly MeasuredAttention[], name: string): MeasuredAttention =>
  sites.find(({ query, newKey, newValue }) => [query, newKey, newValue].includes(name)) as MeasuredAttention;

/** Queries, keys and values of the step become inputs, so that each layer is evaluated by itself. */
const cutsOf = (sites: readonly MeasuredAttention[]): Map<string, ValueInfo> =>
  new Map(sites.flatMap(({ query, newKey, newValue }) => [query, newKey, newValue].map((name) => [name, floats(4)])));

/** Whole rows, a chunked prompt, padding at the left, and a gap in the cache. */
function comparedProbes(window: number | null): Probe[] {
  const row = (zeros: number[], length: number): number[] =>
    Array.from({ length }, (_, column) => (zeros.includes(column) ? 0 : 1));
  const probes: Probe[] = [
    { rows: 2, tokens: 5, past: 0 },
    { rows: 1, tokens: 1, past: 7 },
    { rows: 2, tokens: 3, past: 4 },
    { rows: 2, tokens: 4, past: 3, mask: [row([0, 1], 7), row([0, 1, 2, 3, 4], 7)] },
  ];
  if (window === null) probes.push({ rows: 1, tokens: 3, past: 5, mask: [row([2], 8)] });
  return probes;
}

/** Compares each attention as spelled, with random queries, keys and values, with attention of its form. */
async function compare(twin: Graph, sites: readonly MeasuredAttention[]): Promise<void> {
  const isPlain = sites.every(({ form }) => form.window === null);
  const probes = comparedProbes(isPlain ? null : 1);
  const feed = (name: string, probe: Probe): OrtTensor => {
    const { form, query } = siteOf(sites, name);
    return randomTensor(name, [probe.rows, name === query ? form.heads : form.kvHeads, probe.tokens, form.headSize]);
  };
  const outputs = sites.flatMap((site) => [site.output, ...cachesOf(site).map(([, , cache]) => cache)]);
  const runs = await runOf(sites[0] as MeasuredAttention, evaluate(twin, outputs, probes, cutsOf(sites), feed));
  for (const [i, probe] of probes.entries()) {
    for (const site of sites) {
      const floatsOf = (name: string): Float32Array => runs[i]?.get(name)?.values as unknown as Float32Array;
      const query = feed(site.query, probe).data as Float32Array;
      const [key, value] = cachesOf(site).map(([past, added, cache]) => {
        const joined = joinedCache(probe, site.form, past, feed(added, probe).data as Float32Array);
        if (joined.every((number, at) => number === floatsOf(cache)[at])) return joined;
        throw refuseNode(site.keyCache, `it does not append ${added} to ${past}`, remedy);
      });
      const expected = attend(probe, site.form, query, key as Float32Array, value as Float32Array);
      const found = floatsOf(site.output);
      let largest = 0;
      for (let at = 0; at < expected.length; at++) {
        const difference = Math.abs((expected[at] as number) - (found[at] as number));
        if (!Number.isNaN(expected[at])) largest = Math.max(largest, Number.isNaN(difference) ? 1 : difference);
      }
      if (largest <= tolerance) continue;
      const masks = maskOf(probe)
        .map((one) => one.join(''))
        .join(' ');
      throw refuseNode(
        site.softmax,
        `its result differs by ${largest.toPrecision(2)} from that of causal attention in a probe with ${probe.past} ` +
          `tokens in the cache and the mask ${masks}`,
        remedy,
      );
    }
  }
}

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
