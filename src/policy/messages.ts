/** The messages between the policy and its inference worker. They are structured-clone values without shared memory. */

import type { SerializedError } from '../errors.js';
import type { TokenBytes } from '../package/index.js';
import type { FinishReason, TopLogprob } from './completion-events.js';
import type { CompletionRequest } from './completion-request.js';
import type { TurnReport } from './policy-observer.js';
import type { BackgroundRuns, PrefixCacheStatus } from './policy-status.js';
import type { PolicyVersion, SwapReport } from './policy-version.js';

/** What a worker serves, with its limits. */
export interface WorkerSettings {
  readonly modelPath: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly eosTokenIds: readonly number[];
  readonly tokenBytes: TokenBytes;
  /** Intra-op threads of onnxruntime. */
  readonly threads: number;
  readonly spin: boolean;
  /** Most rows that decode together, over all versions. */
  readonly maxSequences: number;
  /** Most prompt tokens that are computed between two decode steps. */
  readonly prefillChunk: number;
  /** Bytes for keys and values of all rows and prompts. */
  readonly kvMemoryBytes: number;
  readonly prefixCacheBytes: number;
  readonly maxLiveVersions: number;
  /** Whether the decoder takes adapters. If false, it serves the zero adapter only. */
  readonly adapters: boolean;
  /** Versions that are servable from the start. The last one is live. */
  readonly versions: readonly PolicyVersion[];
  /** Numbers of the versions that stay until they are released. */
  readonly held: readonly number[];
}

export type ToWorker =
  /** The first message, unless the worker is closed before it is opened. */
  { readonly type: 'open'; readonly settings: WorkerSettings } | InferenceMessage;

/** A message to an inference that is open. */
export type InferenceMessage =
  | {
      readonly type: 'submit';
      readonly request: number;
      readonly spec: CompletionRequest;
      /** {@link sinceEpochMs} */
      readonly atMs: number;
    }
  | { readonly type: 'cancel'; readonly request: number }
  /** Computes nothing for the request until it is resumed, because its reader is slow. */
  | { readonly type: 'park'; readonly request: number }
  | { readonly type: 'resume'; readonly request: number }
  | { readonly type: 'swap'; readonly call: number; readonly version: PolicyVersion }
  /** Keeps a version servable until it is released. */
  | { readonly type: 'hold'; readonly call: number; readonly version: PolicyVersion }
  | { readonly type: 'release'; readonly version: number }
  | { readonly type: 'status'; readonly call: number }
  /** Empties the prefix cache. */
  | { readonly type: 'clear_prefixes'; readonly call: number }
  /** Lets running requests end, then ends the worker. */
  | { readonly type: 'close' };

/** Tokens of completions, in columns so that a step of many rows is one small message. */
interface TokenColumns {
  readonly request: number[];
  readonly completion: number[];
  readonly token: number[];
  readonly text: string[];
  readonly logprob: number[];
  readonly sampledLogprob: number[];
  /** Empty unless a request of the step asked for alternatives. */
  readonly top: (readonly TopLogprob[])[];
}

/**
 * Everything that happened since the last message. The prompts of a turn make one message, each step of a group
 * another.
 */
export interface StepMessage {
  readonly type: 'step';
  readonly started: {
    readonly request: number;
    readonly version: number;
    readonly adapterDigest: string;
    readonly cachedPromptTokens: number;
    /** From the submission to the first chunk of the prompt. */
    readonly queuedMs: number;
  }[];
  readonly tokens: TokenColumns;
  readonly finished: {
    readonly request: number;
    readonly completion: number;
    readonly reason: FinishReason;
    readonly endOfSequence: boolean;
    /** Text that was held back as the possible beginning of a stop string. */
    readonly text: string;
  }[];
  /** Requests that end without a start. */
  readonly refused: { readonly request: number; readonly error: SerializedError }[];
  /** Number of model runs since the last message. */
  steps: number;
  /** Set in the last message of a turn. */
  turn: TurnReport | null;
}

export interface WorkerStatus {
  readonly runningSequences: number;
  readonly parkedRequests: number;
  readonly backgroundRequests: number;
  readonly backgroundRuns: BackgroundRuns;
  readonly kvBytesUsed: number;
  readonly kvBytesBudget: number;
  readonly prefixCache: PrefixCacheStatus;
  readonly heldVersions: readonly number[];
}

export type FromWorker =
  /** The worker has loaded its code and waits to be opened. */
  | { readonly type: 'loaded' }
  | { readonly type: 'ready' }
  | StepMessage
  /** The answer to a swap or a hold. */
  | { readonly type: 'version_added'; readonly call: number; readonly report: SwapReport }
  | { readonly type: 'status'; readonly call: number; readonly status: WorkerStatus }
  | { readonly type: 'prefixes_cleared'; readonly call: number }
  | { readonly type: 'failed'; readonly call: number; readonly error: SerializedError }
  /** The worker cannot continue and ends after this message. */
  | { readonly type: 'crashed'; readonly error: SerializedError };

/** Returns an empty message, to be filled during a step. */
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

/** Returns milliseconds since 1970 with fractions. All threads share this clock. */
export function sinceEpochMs(): number {
  return performance.timeOrigin + performance.now();
}
