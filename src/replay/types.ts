/** The replay store as other folders see it: what is kept of generations and scores, and what each write promises. */

export type GenerationState = 'running' | 'finished' | 'cancelled' | 'aborted';

/**
 * Where a completion comes from. sampled: an answer of the policy; edit: a person's own text; explored: drawn by the
 * server while idle, never shown; shadow: a candidate version's answer to real traffic, never shown.
 */
export type GenerationOrigin = 'sampled' | 'edit' | 'explored' | 'shadow';

/** What is known when a generation is admitted, before its first token. */
export interface GenerationAdmission {
  /** UUIDv7. */
  readonly id: string;
  readonly origin: GenerationOrigin;
  /** hash(package digest, prompt tokens): all completions of one prompt form a group. */
  readonly groupKey: string;
  readonly packageDigest: string;
  readonly version: number;
  readonly adapterDigest: string;
  readonly promptTokens: Uint32Array;
  /** The request's prompt or messages as JSON, for people, export and reward models; kept once for all who sent it. */
  readonly promptJson: string;
  /** Labels of the app's as a JSON object. */
  readonly metadataJson: string;
  /** Sampling settings as JSON. */
  readonly samplingJson: string;
  /** Whose data it is; empty when the app did not say. */
  readonly subject: string;
  readonly createdAtMs: number;
}

/** What is known when it ends. */
export interface GenerationCompletion {
  readonly id: string;
  readonly state: 'finished' | 'cancelled' | 'aborted';
  readonly finishReason: string;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Log-softmax at temperature 1, one per token. */
  readonly logprobs: Float32Array;
  /** Under the distribution actually sampled, one per token. */
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number;
}

export interface Generation extends GenerationAdmission {
  readonly state: GenerationState;
  readonly finishReason: string | null;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Empty for an edit, as are `sampledLogprobs`: nobody sampled it. */
  readonly logprobs: Float32Array;
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number | null;
  /** The generation whose completion an edit replaces in its rater's eyes; null for all others. */
  readonly editOf: string | null;
}

/** A score is keyed by (generation, rater, metric): a second one replaces the first. */
export interface ScoreKey {
  readonly generationId: string;
  readonly rater: string;
  readonly metric: string;
}

interface FeedbackBase extends ScoreKey {
  /** Empty when the client sent none. Same key and content: the stored answer; other content: `IDEMPOTENCY_CONFLICT`. */
  readonly idempotencyKey: string;
  readonly createdAtMs: number;
}

export interface ScoreWrite extends FeedbackBase {
  readonly type: 'score';
  /** Finite; `null` retracts the score. */
  readonly value: number | null;
}

/** How a generation compares with another one of the same prompt. */
export type PreferenceOutcome = 'better' | 'worse' | 'tie';

/** A preference is keyed by (pair, rater, metric), whichever of the two is named first. */
export interface PreferenceWrite extends FeedbackBase {
  readonly type: 'preference';
  readonly otherId: string;
  /** Of `generationId` against `otherId`; `null` retracts the preference. */
  readonly outcome: PreferenceOutcome | null;
}

/**
 * A person's own text as a further completion of the prompt of `generationId`, with a score. It becomes a generation of
 * its own; the same text again is the same generation, and its score is one like any other.
 */
export interface EditWrite extends FeedbackBase {
  readonly type: 'edit';
  /** UUIDv7 of the generation that it becomes. */
  readonly id: string;
  readonly text: string;
  /** The text's tokens with the end of sequence; they must fit the prompt of `generationId`. */
  readonly tokens: Uint32Array;
  /** Finite. */
  readonly value: number;
}

export type FeedbackWrite = ScoreWrite | PreferenceWrite | EditWrite;

export interface Score extends ScoreKey {
  readonly value: number;
  readonly createdAtMs: number;
  /** Sequence number of the change that wrote it. */
  readonly sequence: number;
}

export interface Preference extends ScoreKey {
  readonly otherId: string;
  /** Of `generationId` against `otherId`; which of the two is which says nothing. */
  readonly outcome: PreferenceOutcome;
  readonly createdAtMs: number;
  /** Sequence number of the change that wrote it. */
  readonly sequence: number;
}

/** The outcome of one item of feedback; a bad item never rejects its neighbours. */
export type FeedbackOutcome =
  | {
      readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate';
      readonly sequence: number;
      /** Of an edit: the generation that it became. */
      readonly generationId?: string;
    }
  | {
      readonly status: 'refused';
      readonly code: 'GENERATION_NOT_FOUND' | 'IDEMPOTENCY_CONFLICT' | 'INVALID_REQUEST';
      readonly message: string;
      /** It is the other generation of a preference that is at fault. */
      readonly other?: boolean;
    };

/** A version learned from a generation. */
export interface Lesson {
  readonly generationId: string;
  readonly version: number;
}

/** A prompt of real traffic. */
export interface StoredPrompt {
  readonly groupKey: string;
  readonly promptTokens: Uint32Array;
  readonly promptJson: string;
}

/** Everything that can change what the learner may learn from, in order. */
export type ReplayChange =
  | { readonly sequence: number; readonly type: 'generation'; readonly generationId: string }
  | {
      readonly sequence: number;
      readonly type: 'score';
      readonly generationId: string;
      readonly rater: string;
      readonly metric: string;
      readonly value: number | null;
    }
  | {
      readonly sequence: number;
      readonly type: 'preference';
      readonly generationId: string;
      readonly otherId: string;
      readonly rater: string;
      readonly metric: string;
      readonly outcome: PreferenceOutcome | null;
    }
  /** Generations are gone (evicted or erased): see with `existing` which of yours are still there. */
  | { readonly sequence: number; readonly type: 'removed' };

export interface ReplayStatus {
  readonly generations: number;
  readonly finished: number;
  readonly running: number;
  readonly aborted: number;
  readonly scores: number;
  readonly scoredGenerations: number;
  readonly preferences: number;
  readonly edits: number;
  readonly lastSequence: number;
  readonly oldestGenerationAtMs: number | null;
  readonly fileBytes: number;
  /** Of these, in use; what was removed leaves room inside the file. */
  readonly usedBytes: number;
  /** Bound of the bytes in use; null: none. */
  readonly maxBytes: number | null;
  /** Age from which a generation goes, milliseconds; null: none. */
  readonly maxAgeMs: number | null;
}
