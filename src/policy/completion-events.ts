/** The events of a request, from its start to the end of its last completion. */

export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error';

export interface TopLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** The result of one step for one completion, or of several steps if they were read together. */
export interface TokenChunk {
  readonly type: 'tokens';
  readonly completion: number;
  readonly tokens: readonly number[];
  /** Text that these tokens complete; may be empty. It never contains a stop string or a part of one. */
  readonly text: string;
  /** Log-softmax at temperature 1 of the raw logits, per token. */
  readonly logprobs: readonly number[];
  /** Log-probability in the distribution from which the token was drawn, per token. */
  readonly sampledLogprobs: readonly number[];
  readonly topLogprobs?: readonly (readonly TopLogprob[])[];
}

export interface CompletionFinished {
  readonly type: 'finished';
  readonly completion: number;
  readonly reason: FinishReason;
  /** True if the last token is an end-of-sequence token. It is part of `tokens`. */
  readonly endOfSequence: boolean;
}

/** First event of a request. All of its completions run on this version. */
export interface RequestStarted {
  readonly type: 'started';
  readonly version: number;
  readonly adapterDigest: string;
  readonly cachedPromptTokens: number;
}

export type CompletionEvent = RequestStarted | TokenChunk | CompletionFinished;
