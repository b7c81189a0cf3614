/** Tokens per second of several completions that decode together, from the times at which their tokens arrive. */

import type { CompletionRequest, Policy } from '../../src/policy/types.js';

export interface DecodeTask {
  /** Completions at once. */
  readonly batch: number;
  readonly promptLength: number;
  readonly maxTokens: number;
}

export interface DecodeRate {
  /** While all of them decode: from the last one's first token to the first one's last. */
  readonly tokensPerSecond: number;
  /** From the requests to the first token of the first of them. */
  readonly firstTokenMs: number;
}

interface Arrival {
  readonly atMs: number;
  readonly tokens: number;
}

export async function measureDecodeRate(
  policy: Policy,
  { batch, promptLength, maxTokens }: DecodeTask,
): Promise<DecodeRate> {
  const started = performance.now();
  const runs = await Promise.all(
    Array.from({ length: batch }, (_, i) => collect(policy, greedyRequest(i, promptLength, maxTokens))),
  );
  const first = runs.map((arrivals) => (arrivals[0] as Arrival).atMs);
  const from = Math.max(...first);
  const to = Math.min(...runs.map((arrivals) => (arrivals[arrivals.length - 1] as Arrival).atMs));
  const tokens = runs.flat().reduce((sum, { atMs, tokens }) => sum + (atMs > from && atMs <= to ? tokens : 0), 0);
  if (tokens === 0) throw new Error(`${batch} completions of ${maxTokens} tokens never decoded at the same time`);
  return { tokensPerSecond: (1000 * tokens) / (to - from), firstTokenMs: Math.min(...first) - started };
}

async function collect(policy: Policy, request: CompletionRequest): Promise<Arrival[]> {
  const arrivals: Arrival[] = [];
  for await (const event of policy.complete(request)) {
    if (event.type === 'tokens') arrivals.push({ atMs: performance.now(), tokens: event.tokens.length });
  }
  return arrivals;
}

function greedyRequest(index: number, promptLength: number, maxTokens: number): CompletionRequest {
  return {
    // Different from the first token on, so that no prefix is shared.
    promptTokens: Array.from({ length: promptLength }, (_, i) => (index * 31 + i * 7 + 11) % 256),
    candidates: [{ id: `bench-${index}`, seed: index }],
    sampling: {
      temperature: 0,
      topP: 1,
      topK: 0,
      minP: 0,
      maxTokens,
      stop: [],
      ignoreEos: true,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: {},
      topLogprobs: 0,
    },
  };
}
