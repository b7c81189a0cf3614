/**
 * The probe after a swap: proof that the served weights are the new ones.
 *
 * A fixed prompt goes through the serving path, and through runs that are fed fresh copies of the candidate's and of the
 * previous version's tensors. What was served must be ten times nearer to the candidate than to the previous version.
 */

import type { Adapter } from '../versions/index.js';
import type { Decoder } from './graph/decoder.js';
import type { SwapReport } from './policy-version.js';

/** How much nearer the served logits must be to the candidate's. */
const requiredRatio = 10;
/** Differences below this share of the largest logit are rounding. */
const noise = 1e-6;
const promptLength = 8;

/** The fixed prompt: tokens spread over the vocabulary. */
export function probePrompt(vocabularySize: number): number[] {
  return Array.from({ length: promptLength }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % vocabularySize);
}

export interface ProbeInput {
  readonly decoder: Decoder;
  readonly prompt: readonly number[];
  /** Logits after the prompt as a request would get them. */
  readonly serve: (prompt: readonly number[]) => Promise<Float32Array>;
  readonly candidate: Adapter;
  readonly previous: Adapter;
}

/** Compares what is served with what should be. */
export async function probeServed(input: ProbeInput): Promise<SwapReport['probe']> {
  const served = await input.serve(input.prompt);
  const [expected, former] = [
    await independentLogits(input, input.candidate),
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
  // Versions that answer alike cannot be told apart by their answers.
  return apart <= requiredRatio * floor && toNew <= requiredRatio * floor ? 'inconclusive' : 'failed';
}

async function independentLogits({ decoder, prompt }: ProbeInput, adapter: Adapter): Promise<Float32Array> {
  return (await decoder.prefill(prompt, decoder.feedsOf(adapter))).logits.data;
}

/** NaN where any of the numbers is. */
function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest;
}
