/** A policy whose completions a test scripts, to produce orders of events and failures that a real model does not. */

import type { CompletionEvent } from '../../../src/policy/completion-events.js';
import type { CompletionRequest } from '../../../src/policy/completion-request.js';
import type { Policy } from '../../../src/policy/policy.js';
import type { PolicyStatus } from '../../../src/policy/policy-status.js';
import type { PolicyVersion, SwapReport } from '../../../src/policy/policy-version.js';

/** The script of a completion. It has to handle an abort itself. */
export type Script = (request: CompletionRequest, signal: AbortSignal) => AsyncIterable<CompletionEvent>;

export class ScriptedPolicy implements Policy {
  readonly swaps: number[] = [];
  readonly holds: string[] = [];
  /** The result of the probe of the next hold. */
  holdVerdict: 'proved' | 'failed' = 'proved';
  script: Script;
  /** A wrong answer for the next swap. */
  wrongDigest: string | undefined;

  constructor(script: Script) {
    this.script = script;
  }

  complete(request: CompletionRequest, signal: AbortSignal): AsyncIterable<CompletionEvent> {
    return this.script(request, signal);
  }

  async swap({ number, adapterDigest }: PolicyVersion): Promise<SwapReport> {
    this.swaps.push(number);
    const digest = this.wrongDigest ?? adapterDigest;
    this.wrongDigest = undefined;
    const probe = { verdict: 'proved', toNew: 0, toPrevious: 1 } as const;
    return { version: number, adapterDigest: digest, probe, durationMs: 1, waitedMs: 0 };
  }

  async hold({ number, adapterDigest }: PolicyVersion): Promise<SwapReport> {
    this.holds.push(`hold ${number}`);
    const probe = { verdict: this.holdVerdict, toNew: 0, toPrevious: 1 };
    return { version: number, adapterDigest, probe, durationMs: 1, waitedMs: 0 };
  }

  async release(number: number): Promise<void> {
    this.holds.push(`release ${number}`);
  }

  async status(): Promise<PolicyStatus> {
    return {
      liveVersion: this.swaps.at(-1) ?? 0,
      adapterDigest: '',
      runningSequences: 0,
      queuedRequests: 0,
      queuedTokens: 0,
      parkedRequests: 0,
      backgroundRequests: 0,
      backgroundRuns: { own: 0, others: 0, lost: 0 },
      kvBytesUsed: 0,
      kvBytesBudget: 0,
      prefixCache: { hitTokens: 0, lookedUpTokens: 0, bytes: 0, maxBytes: 0, evictedBlocks: 0 },
      generatedTokens: 0,
      promptTokens: 0,
      steps: 0,
      heldVersions: [],
    };
  }

  async clearPrefixes(): Promise<void> {}

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

export const started: CompletionEvent = { type: 'started', version: 0, adapterDigest: 'a', cachedPromptTokens: 0 };

/** Makes the event of one token of one completion. */
export function token(completion: number, id: number, text = String.fromCharCode(id)): CompletionEvent {
  return { type: 'tokens', completion, tokens: [id], text, logprobs: [-1], sampledLogprobs: [-0.5] };
}

export function finished(completion: number, reason: 'stop' | 'length' | 'cancelled'): CompletionEvent {
  return { type: 'finished', completion, reason, endOfSequence: reason === 'stop' };
}

/** Yields tokens of one completion until it is aborted. */
export async function* untilAborted(_: CompletionRequest, signal: AbortSignal): AsyncGenerator<CompletionEvent> {
  yield started;
  while (!signal.aborted) {
    yield token(0, 97);
    await new Promise(setImmediate);
  }
  yield finished(0, 'cancelled');
}
