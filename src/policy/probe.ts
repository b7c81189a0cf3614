/**
 * Proves after a swap that the new weights are the ones that are served.
 *
 * A fixed prompt is run on the serving path, and with fresh copies of the tensors of the new and of the previous
 * version. The served logits must be ten times nearer to those of the new version than to those of the previous one.
 */

import type { Adapter } from '../versions/index.js';
import type { Decoder } from './graph/decoder.js';
import type { SwapReport } from './policy-version.js';

/** Factor by which the served logits must be nearer to the new version's. */
const requiredRatio = 10;
/** Differences below this share of the largest logit are rounding errors. */
const noise = 1e-6;
const promptLength = 8;

/** Returns the fixed prompt, with tokens from all over the vocabulary. */
export function probePrompt(vocabularySize: number): number[] {
  return Array.from({ length: promptLength }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % vocabularySize);
}

interface ProbeInput {
  readonly decoder: Decoder;
  readonly prompt: readonly number[];
  /** Returns the logits after the prompt, computed as for a request. */
  readonly serve: (prompt: readonly number[]) => Promise<Float32Array>;
  readonly added: Adapter;
  readonly previous: Adapter;
}

/** Compares the served logits with those of the new and of the previous version. */
export async function probeServed(input: ProbeInput): Promise<SwapReport['probe']> {
  const served = await input.serve(input.prompt);
  const [expected, former] = [
    await independentLogits(input, input.added),
    await independentLogits(input, input.previous),
  ];
  const toNew = largestDifference(served, expected);
  const toPrevious = largestDifference(served, former);
  const floor = noise * (1 + largestDifference(expected, new Float32Array(expected.length)));
  return { verdict: verdict(toNew, toPrevious, largestDifference(expected, former), floor), toNew, toPrevious };
}

function verdict(toNew: number, toPrevious: number, apart: number, floor: number): SwapReport['probe']['verdict'] {
  if (!Number.isFinite(toNew + toPrevious + apart)) return 'failed';
  if (toPrevious >= requiredRatio * toNew && toPrevious > floor) return 'proved';
  // The two versions have the same logits, so logits cannot show which of them is served.
  return apart <= requiredRatio * floor && toNew <= requiredRatio * floor ? 'inconclusive' : 'failed';
}

async function independentLogits({ decoder, prompt }: ProbeInput, adapter: Adapter): Promise<Float32Array> {
  return (await decoder.prefill(prompt, decoder.feedsOf(adapter))).logits.data;
}

/** Returns NaN if one of the numbers is NaN. */
function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest;
}
