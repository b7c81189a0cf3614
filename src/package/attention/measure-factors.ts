/** Finds the factor and the bound of scores: with q . k = 1, and with products that any bound cuts off. */

import { Tensor as OrtTensor } from 'onnxruntime-node';
import { elementCount, type Graph } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';
import { cutsOf, siteOf } from './compare-attention.js';
import { type MeasuredAttention, remedy } from './measured-attention.js';
import { PartRun, type Probe } from './probe-run.js';
import type { AttentionForm } from './reference-attention.js';

type Factors = Pick<AttentionForm, 'scale' | 'softcap'>;

/** Products of a query and a key. The last two are bounded to the same score if there is a bound. */
const products = [1, 1e6, 1e7] as const;

/** Relative error of a factor that was computed in float32. */
const rounding = 1e-5;

/** @throws HoneError `OPERATOR_UNSUPPORTED` for scores that are neither multiplied nor bounded so */
export async function measureFactors(twin: Graph, sites: readonly MeasuredAttention[]): Promise<Factors[]> {
  const names = sites.map(({ softmax }) => softmax.inputs[0] as string);
  await using part = await PartRun.open(twin, names, cutsOf(sites));
  const probe: Probe = { rows: 1, tokens: 1, past: 0 };
  const scores: number[][] = [];
  for (const product of products) {
    const run = await part.run(probe, (name) => {
      const { form, query } = siteOf(sites, name);
      const shape = [1, name === query ? form.heads : form.kvHeads, 1, form.headSize];
      const data = new Float32Array(elementCount(shape));
      for (let at = 0; at < data.length; at += form.headSize) data[at] = name === query ? product : 1;
      return new OrtTensor('float32', data, shape);
    });
    scores.push(names.map((name) => Number(run.get(name)?.values[0])));
  }
  return sites.map((site, i) => factorsOf(site, scores.map((list) => list[i] as number) as [number, number, number]));
}

function factorsOf({ softmax, form }: MeasuredAttention, scores: [number, number, number]): Factors {
  const [one, large, larger] = scores;
  const isBounded = large === larger;
  const scale = isBounded ? large * Math.atanh(one / large) : one;
  if (!(scale > 0) || (!isBounded && Math.abs(large / products[1] / scale - 1) > 10 * rounding)) {
    const list = (numbers: readonly number[]): string => numbers.map((number) => number.toPrecision(3)).join(', ');
    throw refuseNode(softmax, `products of ${list(products)} become scores of ${list(scores)}`, remedy);
  }
  const usual = 1 / Math.sqrt(form.headSize);
  return { scale: Math.abs(scale / usual - 1) < rounding ? usual : scale, softcap: isBounded ? large : null };
}
