/** The policy as the agent sees it: a package that serves completions on a live version, step by step, in a worker. */

import type { Adapter } from '../versions/index.js';

/** Complete, validated sampling settings of one request. */
export interface SamplingSettings {
  /** 0 is greedy. */
  readonly temperature: number;
  /** (0, 1]; 1 is off. */
  readonly topP: number;
  /** 0 is off. */
  readonly topK: number;
  /** [0, 1); 0 is off. */
  readonly minP: number;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  readonly ignoreEos: boolean;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 is off. */
  readonly repetitionPenalty: number;
  readonly logitBias: Readonly<Record<number, number>>;
  /** How many alternatives to report per token, 0..20; token log-probabilities themselves are always computed. */
  readonly topLogprobs: number;
}

export interface RequestedCompletion {
  /** The generation id, minted at admission. */
  readonly id: string;
  /** 32-bit unsigned. Same seed, same version, same request alone = same tokens. */
  readonly seed: number;
  /**
   * Takes these tokens, one a step, instead of drawing any: for their log-probabilities. They are reported as if they
   * had been drawn, with `sampledLogprobs` equal to `logprobs`. Neither `maxTokens` nor a stop text nor the end of the
   * sequence ends the completion early; it ends after the last token with the reason `stop`.
   */
  readonly forced?: readonly number[];
}

export interface CompletionRequest {
  readonly promptTokens: readonly number[];
  readonly sampling: SamplingSettings;
  /** Share one prefill. */
  readonly completions: readonly RequestedCompletion[];
  /** A version number that is held by the worker; the live one when absent. */
  readonly version?: number;
  /**
   * Work that nobody waits for. It starts only while no other request waits, holds at most half of the slots (at least
   * one) together with its like, and gives way: where another request finds no slot or no memory, the youngest of these
   * ends with the reason `cancelled`. Default false.
   */
  readonly background?: boolean;
}

export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error';

export interface TopLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** What one step (or a few, where they were ready together) brought for one completion. */
export interface TokenChunk {
  readonly type: 'tokens';
  readonly completion: number;
  readonly tokens: readonly number[];
  /** Text that became certain; may be empty. Never holds a stop string or a part of one. */
  readonly text: string;
  /** Log-softmax at temperature 1 of the raw logits, per token. */
  readonly logprobs: readonly number[];
  /** Log-probability under the distribution actually sampled from, per token. */
  readonly sampledLogprobs: readonly number[];
  readonly topLogprobs?: readonly (readonly TopLogprob[])[];
}

export interface CompletionFinished {
  readonly type: 'finished';
  readonly completion: number;
  readonly reason: FinishReason;
  /** True if an end-of-sequence token was the last (it is part of `tokens`). */
  readonly endOfSequence: boolean;
}

/** First event of a request: which version all its completions run on. */
export interface RequestStarted {
  readonly type: 'started';
  readonly version: number;
  readonly adapterDigest: string;
  readonly cachedPromptTokens: number;
}

export type CompletionEvent = RequestStarted | TokenChunk | CompletionFinished;

/** A version's weights as they are handed to the worker. The zero adapter is version 0. */
export interface PolicyVersion {
  readonly number: number;
  readonly adapterDigest: string;
  readonly adapter: Adapter;
}

export interface SwapReport {
  readonly version: number;
  /** Recomputed by the worker over the tensors that it holds. */
  readonly adapterDigest: string;
  /** Distance of the served probe logits to the candidate's own and to the previous version's. */
  readonly probe: {
    readonly verdict: 'proved' | 'inconclusive' | 'failed';
    readonly toNew: number;
    readonly toPrevious: number;
  };
  /** From the swap message to the first step that may run on the new version. */
  readonly durationMs: number;
  /** Time spent waiting for the oldest live version to drain. */
  readonly waitedMs: number;
}

/** What a hold found: as a swap would have, with the live version for the previous one. */
export type HoldReport = SwapReport;

/** A request that left the queue; those in the background are not reported. */
export interface StartReport {
  /** From its submission to the first chunk of its prompt. */
  readonly queuedMs: number;
  readonly promptTokens: number;
  /** Of the prompt tokens, those whose keys and values were there already. */
  readonly cachedPromptTokens: number;
}

/** One turn of the inference worker: a share of prompts, then one decode step of every group of rows. */
export interface TurnReport {
  /** Time and tokens of prompts. */
  readonly prefillMs: number;
  readonly prefillTokens: number;
  /** Time and rows of the decode steps, one step per group. */
  readonly decodeMs: number;
  readonly decodedRows: number;
  readonly groups: number;
  /** How long a swap held the turn up; 0 where none did. */
  readonly swapMs: number;
}

/** Told of what the policy does, on the event loop; must not throw. */
export interface PolicyObserver {
  onStarted?(report: StartReport): void;
  /** After each turn that ran the model. */
  onTurn?(report: TurnReport): void;
  onSwap?(report: SwapReport): void;
}

/** Reuse of keys and values that were computed before; since the inference worker was started. */
export interface PrefixCacheStatus {
  /** Prompt tokens that were found, of those looked up. */
  readonly hitTokens: number;
  readonly lookedUpTokens: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Blocks of 32 tokens that made room for others. */
  readonly evictedBlocks: number;
}

export interface PolicyStatus {
  readonly liveVersion: number;
  readonly adapterDigest: string;
  /** Completions that are being decoded. */
  readonly runningSequences: number;
  /** Requests that have not been started, and the tokens of their prompts; without those in the background. */
  readonly queuedRequests: number;
  readonly queuedTokens: number;
  /** Requests in the background that have not come to their end. */
  readonly backgroundRequests: number;
  /** Requests whose readers are slow: nothing is computed for them. */
  readonly parkedRequests: number;
  /** Memory of keys and values that is promised to requests, and all there is. */
  readonly kvBytesUsed: number;
  readonly kvBytesBudget: number;
  readonly prefixCache: PrefixCacheStatus;
  readonly generatedTokens: number;
  readonly promptTokens: number;
  readonly steps: number;
  readonly heldVersions: readonly number[];
}

export interface Policy {
  /**
   * Runs a request. The iterable ends after every completion's `finished` event. Aborting the signal frees the slots
   * within one step and yields `finished` with `cancelled`.
   * What is not read for long is not computed either: see `READER_STALLED`.
   * @throws HoneError `INVALID_REQUEST`, `QUEUE_FULL`, `PROMPT_TOO_LONG`, `VERSION_NOT_SERVABLE`, `READER_STALLED`, `WORKER_CRASHED`,
   * `DRAINING`
   */
  complete(request: CompletionRequest, signal?: AbortSignal): AsyncIterable<CompletionEvent>;
  /**
   * Makes a version live for the requests that start from now on; those that run keep theirs. When the probe's verdict
   * is `failed` the version does not become live: the previous one goes on.
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `VERSION_NOT_SERVABLE` (other weights are held under the
   * number), `WORKER_CRASHED`, `DRAINING`
   */
  swap(version: PolicyVersion): Promise<SwapReport>;
  /**
   * Keeps a version servable beside the live one until {@link Policy.release}, also when the worker is started anew.
   * It waits for room as a swap does. Holds of one version add up: each needs its release. When the probe's verdict is
   * `failed` the version is not held, and there is nothing to release.
   * @throws HoneError `TOO_MANY_VERSIONS` when swaps would have no room left; `ADAPTER_INVALID`, `ADAPTER_MISMATCH`,
   * `VERSION_NOT_SERVABLE` (other weights are held under the number), `WORKER_CRASHED`, `DRAINING`
   */
  hold(version: PolicyVersion): Promise<HoldReport>;
  /**
   * Gives a hold up, without waiting. With the last one the version goes as soon as no request runs on it, unless it is
   * live or version 0. A version without a hold is left alone.
   */
  release(number: number): Promise<void>;
  /** Forgets what is kept of earlier prompts and completions to shorten the work on later ones. */
  clearPrefixes(): Promise<void>;
  status(): Promise<PolicyStatus>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
