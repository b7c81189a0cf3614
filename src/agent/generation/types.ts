/** A request for completions as a caller makes it, and the events that answer it. */

import type { FinishReason, TopLogprob } from '../../policy/index.js';

/** Sampling settings as a caller gives them. An absent one takes its default (see `check-request.ts`). */
export interface SamplingInput {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly minP?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly ignoreEos?: boolean | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly logitBias?: Readonly<Record<string, number>> | undefined;
}

/** A prompt and how to complete it, unchecked. Exactly one of `messages` and `prompt` has to be given. */
export interface GenerateInput {
  readonly messages?: readonly { readonly role: string; readonly content: string }[] | undefined;
  readonly prompt?: string | undefined;
  readonly sampling?: SamplingInput | undefined;
  readonly n?: number | undefined;
  readonly seed?: number | undefined;
  readonly logprobs?: boolean | undefined;
  readonly topLogprobs?: number | undefined;
  readonly store?: boolean | undefined;
  readonly subject?: string | undefined;
  readonly version?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Most bytes of an answer that holds all completions in one message. Default: without bound, for a stream. */
  readonly maxAnswerBytes?: number | undefined;
}

/** First event of a request: its generations are on disk (unless `store` was false), so feedback may be given. */
export interface StartedEvent {
  readonly type: 'started';
  /** UUIDv7, one per completion, by index. */
  readonly generationIds: readonly string[];
  readonly version: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
  readonly promptTokens: number;
  readonly cachedPromptTokens: number;
}

/** The tokens of a step for one completion. Log-probabilities are present only if the request asked for them. */
export interface ChunkEvent {
  readonly type: 'chunk';
  readonly completion: number;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly logprobs?: readonly number[];
  readonly sampledLogprobs?: readonly number[];
  readonly topLogprobs?: readonly (readonly TopLogprob[])[];
}

export interface CompletionEndedEvent {
  readonly type: 'finished';
  readonly completion: number;
  readonly reason: FinishReason;
}

/** Last event of a request: its generations are on disk, whole. */
export interface EndedEvent {
  readonly type: 'ended';
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedPromptTokens: number;
}

export type AgentEvent = StartedEvent | ChunkEvent | CompletionEndedEvent | EndedEvent;
