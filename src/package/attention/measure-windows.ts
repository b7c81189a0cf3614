/** Finds which keys a token sees: all before it, or those of a window. */

import { Tensor as OrtTensor } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { elementCount, type Graph, type Node, type ValueInfo } from '../../onnx/index.js';
import { refuseNode } from '../operators/form.js';
import type { SizeNames } from './fold-shapes.js';
import { type MeasuredAttention, remedy } from './measured-attention.js';
import { type Evaluated, floatCut, PartRun, type Probe } from './probe-run.js';
import { isSeen } from './reference-attention.js';

/** Columns of the cache in which a window is looked for. A longer one is taken for attention to all keys. */
const longestWindow = 2 ** 18;
/** Fewest columns that a mask has to be computed for. */
const shortestWindow = 2 ** 4;

/** Scores below this are masked: exp of it is 0. */
const masked = -1e4;

/**
 * Returns the keys that a token sees in each attention; `null`: all.
 * @throws HoneError `OPERATOR_UNSUPPORTED` for a mask of another form
 */
export async function measureWindows(
  twin: Graph,
  sites: readonly MeasuredAttention[],
  { past }: SizeNames,
): Promise<(number | null)[]> {
  const names = sites.map(({ softmax }) => softmax.inputs[0] as string);
  const cuts = new Map<string, ValueInfo>([[past, { type: 'int64', dims: [1] }]]);
  for (const { scores } of sites) cuts.set(scores.outputs[0] as string, floatCut(4));
  await using part = await PartRun.open(twin, names, cuts);
  /** Returns the masks: what becomes of scores of 0. */
  const masksOf = async (probe: Probe): Promise<Evaluated[]> => {
    const shape = [1, 1, probe.tokens, probe.past + probe.tokens];
    const scores = new OrtTensor('float32', new Float32Array(elementCount(shape)), shape);
    const length = new OrtTensor('int64', BigInt64Array.of(BigInt(probe.past)), [1]);
    const masks = await part.run(probe, (name) => (name === past ? length : scores));
    return names.map((name) => masks.get(name) as Evaluated);
  };
  const check = (probe: Probe, masks: readonly Evaluated[], windows: readonly (number | null)[]): void => {
    for (const [i, { softmax }] of sites.entries()) {
      checkMask(softmax, probe, (masks[i] as Evaluated).values, windows[i] as number | null);
    }
  };
  const [probe, masks] = await longestMasks(masksOf, sites[0]?.softmax as Node);
  const windows = masks.map(({ values }) => seenKeys(values));
  check(probe, masks, windows);
  const edges = windows.flatMap((window) => (window === null ? [] : [window - 1, window + 1]));
  for (const length of new Set([6, ...edges])) {
    const near: Probe = { rows: 1, tokens: 3, past: Math.max(0, Math.min(length, probe.past - 2)) };
    check(near, await masksOf(near), windows);
  }
  return windows;
}

/** Computes the masks for more and more columns, as far as there are: some files hold a table that ends. */
async function longestMasks(
  masksOf: (probe: Probe) => Promise<Evaluated[]>,
  softmax: Node,
): Promise<[Probe, Evaluated[]]> {
  let longest: [Probe, Evaluated[]] | undefined;
  for (let columns = shortestWindow; columns <= longestWindow; columns *= 2) {
    const probe: Probe = { rows: 1, tokens: 1, past: columns - 1 };
    try {
      longest = [probe, await masksOf(probe)];
    } catch (cause) {
      if (longest !== undefined) break;
      throw refuseNode(softmax, `its mask cannot be computed: ${HoneError.from(cause).message}`, remedy);
    }
  }
  return longest as [Probe, Evaluated[]];
}

/** Returns how many keys the last token sees; `null` if it sees all. */
function seenKeys(mask: Evaluated['values']): number | null {
  let seen = 0;
  while (seen < mask.length && Number(mask[mask.length - 1 - seen]) > masked) seen += 1;
  return seen === mask.length ? null : seen;
}

/** Compares a mask [1, 1, S, P + S] with the one of a window. */
function checkMask(softmax: Node, probe: Probe, values: Evaluated['values'], window: number | null): void {
  const total = probe.past + probe.tokens;
  if (values.length !== probe.tokens * total) {
    throw refuseNode(
      softmax,
      `its mask has ${values.length} numbers for ${probe.tokens} tokens and ${total} keys`,
      remedy,
    );
  }
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
