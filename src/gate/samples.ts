/** Draws completions of a version for the gate, and computes log-probabilities of given completions under a version. */

import type { Package } from '../package/index.js';
import { type Policy, plainSampling } from '../policy/index.js';
import { completeInBackground, type DrawnCompletion } from './background.js';
import { mapConcurrently } from './map-concurrently.js';
import type { GatePace } from './pace.js';

/** The policy that draws the completions. */
export interface SampleSource {
  readonly policy: Pick<Policy, 'complete'>;
  readonly pkg: Package;
  readonly signal: AbortSignal;
  /** Requests that run at once. The policy gives background requests at most half of its slots. */
  readonly concurrency: number;
  /** Follows how much of the policy the requests get. */
  readonly pace?: GatePace;
}

export interface Prompted {
  readonly promptTokens: Iterable<number>;
}

export interface SampleCounts {
  readonly samplesPerPrompt: number;
  readonly maxTokens: number;
  /** 32-bit unsigned. */
  readonly seed: number;
}

/**
 * Draws completions at temperature 1, by prompt, with the same seeds for every version.
 * @throws HoneError as {@link completeInBackground}
 */
export function drawSamples(
  { policy, pkg, signal, concurrency, pace }: SampleSource,
  version: number,
  prompts: readonly Prompted[],
  { samplesPerPrompt, maxTokens, seed }: SampleCounts,
): Promise<DrawnCompletion[][]> {
  return mapConcurrently(prompts, concurrency, signal, (prompt, p, either) => {
    const promptTokens = [...prompt.promptTokens];
    const request = {
      version,
      promptTokens,
      sampling: plainSampling(Math.min(maxTokens, pkg.config.contextLength - promptTokens.length)),
      completions: Array.from({ length: samplesPerPrompt }, (_, i) => ({
        id: `gate-${version}-${p}-${i}`,
        seed: seedOf(seed, p * samplesPerPrompt + i),
      })),
    };
    return completeInBackground(policy, request, either, pace);
  });
}

/**
 * Returns ln pi of completions under a version, in nats, by prompt.
 * @param completions tokens of the completions, by prompt
 * @throws HoneError as {@link completeInBackground}
 */
export function logprobsUnder(
  { policy, signal, concurrency, pace }: SampleSource,
  version: number,
  prompts: readonly Prompted[],
  completions: readonly (readonly Iterable<number>[])[],
): Promise<number[][]> {
  return mapConcurrently(prompts, concurrency, signal, async ({ promptTokens }, p, either) => {
    const forced = (completions[p] ?? []).map((tokens) => [...tokens]);
    const request = {
      version,
      promptTokens: [...promptTokens],
      sampling: plainSampling(Math.max(1, ...forced.map(({ length }) => length))),
      completions: forced.map((tokens, i) => ({ id: `gate-${version}-${p}-${i}`, seed: 0, forced: tokens })),
    };
    return (await completeInBackground(policy, request, either, pace)).map(({ logprob }) => logprob);
  });
}

/** Derives distinct seeds from one. */
function seedOf(seed: number, index: number): number {
  return (seed + Math.imul(index + 1, 0x9e3779b1)) >>> 0;
}
