/** Prompts, completions and what is kept of them. */

import type { OrUnknown } from './or-unknown.js';

/** One message of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** A prompt and how to complete it. What is absent takes the server's default. */
export interface GenerateRequest {
  /** A chat, rendered with the model's template; exactly one of `messages` and `prompt` is given. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Text to continue as it stands. */
  readonly prompt?: string | undefined;
  /** Longest completion in tokens. Default 128. */
  readonly maxTokens?: number | undefined;
  /** 0 is greedy. Default 1. */
  readonly temperature?: number | undefined;
  /** In (0, 1]. Default 1 (off). */
  readonly topP?: number | undefined;
  /** Default 0 (off). */
  readonly topK?: number | undefined;
  /** In [0, 1). Default 0 (off). */
  readonly minP?: number | undefined;
  /** Texts that end the completion and are left out of it. */
  readonly stop?: readonly string[] | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly presencePenalty?: number | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly frequencyPenalty?: number | undefined;
  /** In (0, 10]. Default 1 (off). */
  readonly repetitionPenalty?: number | undefined;
  /** Added to the logits, by token id. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Do not end at the end-of-sequence token. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Completions, 1 to 64. Default 1. */
  readonly n?: number | undefined;
  /** 32-bit unsigned. Default: random. */
  readonly seed?: number | undefined;
  /** Give each token's log-probability. Default false. */
  readonly logprobs?: boolean | undefined;
  /** Alternatives per token, 0 to 20; needs `logprobs`. Default 0. */
  readonly topLogprobs?: number | undefined;
  /** False: neither kept nor learned from. Default true. */
  readonly store?: boolean | undefined;
  /** Whose data it is: an opaque id of the app's. */
  readonly subject?: string | undefined;
  /** Run on this version instead of the live one. */
  readonly version?: number | undefined;
  /** Labels of the app's, kept with the generation. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Why a completion ended. */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error';

/** The likeliest alternatives at one position, likeliest first. */
export interface TopLogprobs {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1, nats. */
  readonly logprobs: readonly number[];
}

/** Tokens and, where asked for, their log-probabilities (nats; empty where not asked for). */
export interface TokenDetails {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1. */
  readonly logprobs: readonly number[];
  /** Under the distribution that was sampled from. */
  readonly sampledLogprobs: readonly number[];
  readonly topLogprobs: readonly TopLogprobs[];
}

/** Which weights answered. */
export interface Identity {
  readonly version: number;
  /** SHA-256, hexadecimal. */
  readonly adapterDigest: string;
  /** SHA-256, hexadecimal. */
  readonly packageDigest: string;
}

/** What a request cost, in tokens. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  readonly cachedPromptTokens: number;
}

/** One whole completion. */
export interface Completion extends TokenDetails {
  readonly index: number;
  /** By which it is scored. */
  readonly generationId: string;
  readonly text: string;
  readonly finishReason: OrUnknown<FinishReason>;
}

/** All completions of a request. */
export interface GenerateResult extends Identity {
  readonly completions: readonly Completion[];
  readonly usage: Usage;
}

/** What a stream brings: `started` first, `usage` last. */
export type GenerateEvent =
  | (Identity & {
      readonly type: 'started';
      /** One per completion, by index; feedback may be given from now on. */
      readonly generationIds: readonly string[];
      readonly promptTokens: number;
      readonly cachedPromptTokens: number;
    })
  | (TokenDetails & { readonly type: 'chunk'; readonly index: number; readonly text: string })
  | { readonly type: 'finished'; readonly index: number; readonly reason: OrUnknown<FinishReason> }
  | ({ readonly type: 'usage' } & Usage);

/** A score that stands. */
export interface Score {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  readonly createdAtMs: number;
}

/** Where a completion comes from; explored and shadow ones were shown to nobody. */
export type GenerationOrigin = 'sampled' | 'edit' | 'explored' | 'shadow';

/** A message of a chat as it was stored. */
export interface StoredMessage {
  readonly role: OrUnknown<ChatMessage['role']>;
  readonly content: string;
}

/** What is kept of one generation. */
export interface Generation extends Identity {
  readonly generationId: string;
  readonly state: OrUnknown<'running' | 'finished' | 'cancelled' | 'aborted'>;
  readonly origin: OrUnknown<GenerationOrigin>;
  /** Of an edit: the generation in whose place it stands; empty for others. */
  readonly editOf: string;
  readonly messages: readonly StoredMessage[];
  readonly prompt: string;
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly logprobs: readonly number[];
  readonly sampledLogprobs: readonly number[];
  /** Absent while it runs. */
  readonly finishReason?: OrUnknown<FinishReason>;
  readonly subject: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  readonly scores: readonly Score[];
}
