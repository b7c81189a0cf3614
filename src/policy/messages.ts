/** What the policy and its inference worker say to each other: plain structured-clone values, no shared memory. */

import type { SerializedError } from '../errors.js';
import type { CompletionRequest, FinishReason, PolicyVersion, SwapReport, TopLogprob, TurnReport } from './types.js';

/** What a worker is started with. */
export interface WorkerSettings {
  readonly packageDirectory: string;
  readonly modelPath: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly eosTokenIds: readonly number[];
  /** Intra-op threads of onnxruntime. */
  readonly threads: number;
  readonly spin: boolean;
  /** Rows that decode at once, over all versions. */
  readonly maxSequences: number;
  /** Tokens of prompts that are computed between two decode steps. */
  readonly prefillChunk: number;
  readonly prefixCacheBytes: number;
  readonly maxLiveVersions: number;
  /** Held from the start; the last one is live. */
  readonly versions: readonly PolicyVersion[];
}

export type ToWorker =
  | { readonly type: 'submit'; readonly request: number; readonly completion: CompletionRequest }
  | { readonly type: 'cancel'; readonly request: number }
  | { readonly type: 'swap'; readonly call: number; readonly version: PolicyVersion }
  | { readonly type: 'stats'; readonly call: number }
  /** Finish what runs, then end. */
  | { readonly type: 'close' };

/** What one candidate got; kept in columns, so that a step of many rows is one small message. */
export interface TokenColumns {
  readonly request: number[];
  readonly candidate: number[];
  readonly token: number[];
  readonly text: string[];
  readonly logprob: number[];
  readonly sampledLogprob: number[];
  /** Empty unless some request of the step asked for alternatives. */
  readonly top: (readonly TopLogprob[])[];
}

/** Everything that happened since the last message: one per step, for all rows together. */
export interface StepMessage {
  readonly type: 'step';
  readonly started: {
    readonly request: number;
    readonly version: number;
    readonly adapterDigest: string;
    readonly cachedPromptTokens: number;
  }[];
  readonly tokens: TokenColumns;
  readonly finished: {
    readonly request: number;
    readonly candidate: number;
    readonly reason: FinishReason;
    readonly endOfSequence: boolean;
    /** Text that was held back. */
    readonly text: string;
  }[];
  /** Requests that end without having started. */
  readonly refused: { readonly request: number; readonly error: SerializedError }[];
  /** Runs of the model behind this message. */
  steps: number;
  /** Where the time went. */
  turn: { -readonly [Name in keyof TurnReport]: TurnReport[Name] };
}

export interface WorkerStats {
  readonly runningSequences: number;
  readonly heldVersions: readonly number[];
}

export type FromWorker =
  | { readonly type: 'ready' }
  | StepMessage
  | { readonly type: 'swapped'; readonly call: number; readonly report: SwapReport }
  | { readonly type: 'stats'; readonly call: number; readonly stats: WorkerStats }
  | { readonly type: 'failed'; readonly call: number; readonly error: SerializedError }
  /** The worker cannot go on; it ends after this. */
  | { readonly type: 'crashed'; readonly error: SerializedError };

/** An empty message to collect a step in. */
export function newStepMessage(): StepMessage {
  return {
    type: 'step',
    started: [],
    tokens: { request: [], candidate: [], token: [], text: [], logprob: [], sampledLogprob: [], top: [] },
    finished: [],
    refused: [],
    steps: 0,
    turn: { prefillMs: 0, prefillTokens: 0, decodeMs: 0, decodedRows: 0, groups: 0, swapMs: 0 },
  };
}
