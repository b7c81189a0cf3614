/** Prompts, completions and stored generations. */

import type { OrUnknown } from './or-unknown.js';

/** One message of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** What to complete: a chat or a text, not both. */
export type GenerateInput =
  | {
      /** A chat, which the server renders with the model's template. */
      readonly messages: readonly ChatMessage[];
      readonly prompt?: undefined;
    }
  | {
      /** Text to continue as it is. */
      readonly prompt: string;
      readonly messages?: undefined;
    };

/** How to complete it. Absent fields have the server's defaults. */
export interface GenerateSettings {
  /** Maximum length of a completion in tokens. Default 128. */
  readonly maxTokens?: number | undefined;
  /** 0 is greedy. Default 1. */
  readonly temperature?: number | undefined;
  /** In (0, 1]. Default 1 (off). */
  readonly topP?: number | undefined;
  /** Default 0 (off). */
  readonly topK?: number | undefined;
  /** In [0, 1). Default 0 (off). */
  readonly minP?: number | undefined;
  /** Texts that end the completion. They do not appear in it. */
  readonly stop?: readonly string[] | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly presencePenalty?: number | undefined;
  /** In [-2, 2]. Default 0 (off). */
  readonly frequencyPenalty?: number | undefined;
  /** In (0, 10]. Default 1 (off). */
  readonly repetitionPenalty?: number | undefined;
  /** Values to add to the logits, by token id. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Whether to go on after the end-of-sequence token. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Number of completions, 1 to 64. Default 1. */
  readonly n?: number | undefined;
  /** 32-bit unsigned. Default: random. */
  readonly seed?: number | undefined;
  /** Whether to return each token's log-probability. Default false. */
  readonly logprobs?: boolean | undefined;
  /** Number of alternatives per token, 0 to 20; needs `logprobs`. Default 0. */
  readonly topLogprobs?: number | undefined;
  /** False: the completions are neither stored nor learned from. Default true. */
  readonly store?: boolean | undefined;
  /** Whose data it is: an opaque id of the app. */
  readonly subject?: string | undefined;
  /** Use this version instead of the live one. */
  readonly version?: number | undefined;
  /** Labels of the app, stored with the generation. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A prompt and how to complete it. */
export type GenerateRequest = GenerateInput & GenerateSettings;

/** Why a completion ended. */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error';

/** The likeliest alternatives at one position, likeliest first. */
export interface TopLogprobs {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1, in nats. */
  readonly logprobs: readonly number[];
}

/** Tokens and their log-probabilities in nats, which are empty unless requested. */
export interface TokenDetails {
  readonly tokenIds: readonly number[];
  /** Log-softmax at temperature 1. */
  readonly logprobs: readonly number[];
  /** Under the distribution from which the tokens were sampled. */
  readonly sampledLogprobs: readonly number[];
  readonly topLogprobs: readonly TopLogprobs[];
}

/** The weights that generated an answer. */
export interface Identity {
  readonly version: number;
  /** SHA-256, hexadecimal. */
  readonly adapterDigest: string;
  /** SHA-256, hexadecimal. */
  readonly packageDigest: string;
}

/** The tokens of a request. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  readonly cachedPromptTokens: number;
}

/** One whole completion. */
export interface Completion extends TokenDetails {
  readonly index: number;
  /** The id for feedback. */
  readonly generationId: string;
  readonly text: string;
  readonly finishReason: OrUnknown<FinishReason>;
}

/** All completions of a request. */
export interface GenerateResult extends Identity {
  readonly completions: readonly Completion[];
  readonly usage: Usage;
}

/** An event of a stream: `started` comes first, `usage` last. */
export type GenerateEvent =
  | (Identity & {
      readonly type: 'started';
      /** One per completion, in the order of their indices. Feedback may be sent from now on. */
      readonly generationIds: readonly string[];
      readonly promptTokens: number;
      readonly cachedPromptTokens: number;
    })
  | (TokenDetails & { readonly type: 'chunk'; readonly index: number; readonly text: string })
  | { readonly type: 'finished'; readonly index: number; readonly reason: OrUnknown<FinishReason> }
  | ({ readonly type: 'usage' } & Usage);

/** A score that was not retracted. */
export interface Score {
  readonly rater: string;
  readonly metric: string;
  readonly value: number;
  readonly createdAtMs: number;
}

/** The origin of a generation. No caller has seen `explored` and `shadow` ones. */
export type GenerationOrigin = 'sampled' | 'edit' | 'explored' | 'shadow';

/** A message of a chat as it was stored. */
export interface StoredMessage {
  readonly role: OrUnknown<ChatMessage['role']>;
  readonly content: string;
}

/** A stored generation. */
export interface Generation extends Identity {
  readonly generationId: string;
  readonly state: OrUnknown<'running' | 'finished' | 'cancelled' | 'aborted'>;
  readonly origin: OrUnknown<GenerationOrigin>;
  /** For an edit: the id of the edited generation; empty for others. */
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
