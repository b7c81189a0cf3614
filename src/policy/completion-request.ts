/** A request to the policy: a prompt, and the completions that are wanted of it. */

/** Sampling settings of one request, validated and without defaults to fill in. */
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
  /**
   * Number of alternatives to report per token, 0..20. The log-probabilities of the tokens themselves are always
   * computed.
   */
  readonly topLogprobs: number;
}

interface RequestedCompletion {
  /** The generation id, which is assigned before the request starts. */
  readonly id: string;
  /** 32-bit unsigned. The same seed, version and request give the same tokens, if no other request runs beside it. */
  readonly seed: number;
  /**
   * Takes these tokens, one per step, instead of drawing any, to compute their log-probabilities. They are reported as
   * if they had been drawn, with `sampledLogprobs` equal to `logprobs`. Neither `maxTokens` nor a stop text nor an end
   * token ends the completion early. It ends after the last token with the reason `stop`.
   */
  readonly forced?: readonly number[];
}

export interface CompletionRequest {
  readonly promptTokens: readonly number[];
  readonly sampling: SamplingSettings;
  /** The completions share one prefill. */
  readonly completions: readonly RequestedCompletion[];
  /** Number of a version that the worker holds. Default: the live version. */
  readonly version?: number;
  /**
   * Whether no user waits for the result. Such a request starts only while no other request waits. All of them together
   * hold at most half of the slots (at least one). If another request finds no slot or no memory, the youngest of them
   * ends with the reason `cancelled`. Default false.
   */
  readonly background?: boolean;
}
