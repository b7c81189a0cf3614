/** What the policy and its inference worker say to each other: plain structured-clone values, no shared memory. */

import type { SerializedError } from '../errors.js';
import type { TokenBytes } from '../package/index.js';
import type { FinishReason, TopLogprob } from './completion-events.js';
import type { CompletionRequest } from './completion-request.js';
import type { TurnReport } from './policy-observer.js';
import type { PrefixCacheStatus } from './policy-status.js';
import type { PolicyVersion, SwapReport } from './policy-version.js';

/** What a worker serves, and how. */
export interface WorkerSettings {
  readonly modelPath: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly eosTokenIds: readonly number[];
  readonly tokenBytes: TokenBytes;
  /** Intra-op threads of onnxruntime. */
  readonly threads: number;
  readonly spin: boolean;
  /** Rows that decode at once, over all versions. */
  readonly maxSequences: number;
  /** Tokens of prompts that are computed between two decode steps. */
  readonly prefillChunk: number;
  /** Of keys and values of all rows and prompts. */
  readonly kvMemoryBytes: number;
  readonly prefixCacheBytes: number;
  readonly maxLiveVersions: number;
  /** Whether the decoder takes adapters; without, it serves the zero adapter only. */
  readonly adapters: boolean;
  /** Servable from the start; the last one is live. */
  readonly versions: readonly PolicyVersion[];
  /** Numbers of those that stay until they are released. */
  readonly held: readonly number[];
}

export type ToWorker =
  /** The first of all, unless it is to end before. */
  { readonly type: 'open'; readonly settings: WorkerSettings } | InferenceMessage;

/** What an inference that is open is told. */
export type InferenceMessage =
  | {
      readonly type: 'submit';
      readonly request: number;
      readonly spec: CompletionRequest;
      /** {@link sinceEpochMs} */
      readonly atMs: number;
    }
  | { readonly type: 'cancel'; readonly request: number }
  /** The reader is slow: compute nothing for the request until it is resumed. */
  | { readonly type: 'park'; readonly request: number }
  | { readonly type: 'resume'; readonly request: number }
  | { readonly type: 'swap'; readonly call: number; readonly version: PolicyVersion }
  /** Keep a version servable until it is released. */
  | { readonly type: 'hold'; readonly call: number; readonly version: PolicyVersion }
  | { readonly type: 'release'; readonly version: number }
  | { readonly type: 'status'; readonly call: number }
  /** Forget the beginnings of prompts that are kept for later ones. */
  | { readonly type: 'clear_prefixes'; readonly call: number }
  /** Finish what runs, then end. */
  | { readonly type: 'close' };

/** What one completion got; kept in columns, so that a step of many rows is one small message. */
export interface TokenColumns {
  readonly request: number[];
  readonly completion: number[];
  readonly token: number[];
  readonly text: string[];
  readonly logprob: number[];
  readonly sampledLogprob: number[];
  /** Empty unless some request of the step asked for alternatives. */
  readonly top: (readonly TopLogprob[])[];
}

/** Everything that happened since the last message: one for the prompts and one per step of a group. */
export interface StepMessage {
  readonly type: 'step';
  readonly started: {
    readonly request: number;
    readonly version: number;
    readonly adapterDigest: string;
    readonly cachedPromptTokens: number;
    /** From submission to the first chunk of its prompt. */
    readonly queuedMs: number;
  }[];
  readonly tokens: TokenColumns;
  readonly finished: {
    readonly request: number;
    readonly completion: number;
    readonly reason: FinishReason;
    readonly endOfSequence: boolean;
    /** Text that was held back. */
    readonly text: string;
  }[];
  /** Requests that end without having started. */
  readonly refused: { readonly request: number; readonly error: SerializedError }[];
  /** Runs of the model behind this message. */
  steps: number;
  /** With the last message of a turn. */
  turn: TurnReport | null;
}

export interface WorkerStatus {
  readonly runningSequences: number;
  readonly parkedRequests: number;
  readonly backgroundRequests: number;
  readonly kvBytesUsed: number;
  readonly kvBytesBudget: number;
  readonly prefixCache: PrefixCacheStatus;
  readonly heldVersions: readonly number[];
}

export type FromWorker =
  /** The code is there; what is to be served has to be said. */
  | { readonly type: 'loaded' }
  | { readonly type: 'ready' }
  | StepMessage
  /** The answer to a swap or a hold. */
  | { readonly type: 'taken'; readonly call: number; readonly report: SwapReport }
  | { readonly type: 'status'; readonly call: number; readonly status: WorkerStatus }
  | { readonly type: 'prefixes_cleared'; readonly call: number }
  | { readonly type: 'failed'; readonly call: number; readonly error: SerializedError }
  /** The worker cannot go on; it ends after this. */
  | { readonly type: 'crashed'; readonly error: SerializedError };

/** An empty message to collect a step in. */
export function newStepMessage(): StepMessage {
  return {
    type: 'step',
    started: [],
    tokens: { request: [], completion: [], token: [], text: [], logprob: [], sampledLogprob: [], top: [] },
    finished: [],
    refused: [],
    steps: 0,
    turn: null,
  };
}

/** Milliseconds since 1970 with their fractions: the same clock in every thread. */
export function sinceEpochMs(): number {
  return performance.timeOrigin + performance.now();
}
