/** The data of the replay store: generations, scores, preferences, edits, lessons and changes. */

import type { SerializedError } from '../errors.js';

export type GenerationState = 'running' | 'finished' | 'cancelled' | 'aborted';

/**
 * Where a completion comes from. `sampled`: the policy answered a request. `edit`: a person wrote it. `explored`: the
 * server drew it while idle and shows it to no caller. `shadow`: a candidate version answered real traffic; no caller sees it.
 */
export type GenerationOrigin = 'sampled' | 'edit' | 'explored' | 'shadow';

/** The part of a generation that is known when it is admitted, before its first token. */
export interface GenerationAdmission {
  /** UUIDv7. */
  readonly id: string;
  readonly origin: GenerationOrigin;
  /** Hash of package digest and prompt tokens: all completions of one prompt form a group. */
  readonly groupKey: string;
  readonly packageDigest: string;
  readonly version: number;
  readonly adapterDigest: string;
  readonly promptTokens: Uint32Array;
  /** The request's prompt or messages as JSON, for people, export and reward models. Equal prompts are stored once. */
  readonly promptJson: string;
  /** The app's labels as a JSON object. */
  readonly metadataJson: string;
  /** Sampling settings as JSON. */
  readonly samplingJson: string;
  /** The person whose data it is; empty if the app names none. */
  readonly subject: string;
  readonly createdAtMs: number;
}

/** The part of a generation that is known when it ends. */
export interface GenerationCompletion {
  readonly id: string;
  readonly state: 'finished' | 'cancelled' | 'aborted';
  readonly finishReason: string;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Log-softmax at temperature 1, one per token. */
  readonly logprobs: Float32Array;
  /** Log-probability under the distribution that was sampled, one per token. */
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number;
}

export interface Generation extends GenerationAdmission {
  readonly state: GenerationState;
  readonly finishReason: string | null;
  readonly endOfSequence: boolean;
  readonly tokens: Uint32Array;
  readonly text: string;
  /** Empty for an edit, as are `sampledLogprobs`, because it was not sampled. */
  readonly logprobs: Float32Array;
  readonly sampledLogprobs: Float32Array;
  readonly finishedAtMs: number | null;
  /** For an edit: the generation whose completion it replaces. Null for all others. */
  readonly editOf: string | null;
}

/** The key of a score. A second score with the same key replaces the first. */
export interface ScoreKey {
  readonly generationId: string;
  readonly rater: string;
  readonly metric: string;
}

interface FeedbackBase extends ScoreKey {
  /**
   * Empty if the client sent none. An item that repeats a key gets the stored outcome if its content is the same, and
   * `IDEMPOTENCY_CONFLICT` otherwise.
   */
  readonly idempotencyKey: string;
  readonly createdAtMs: number;
}

export interface ScoreWrite extends FeedbackBase {
  readonly type: 'score';
  /** Finite; `null` retracts the score. */
  readonly value: number | null;
}

/** How a generation compares with another of the same prompt. */
export type PreferenceOutcome = 'better' | 'worse' | 'tie';

/** A preference. Its key is (pair, rater, metric), whichever of the two is named first. */
export interface PreferenceWrite extends FeedbackBase {
  readonly type: 'preference';
  readonly otherId: string;
  /** How `generationId` compares with `otherId`; `null` retracts the preference. */
  readonly outcome: PreferenceOutcome | null;
}

/**
 * A person's own text as a further completion of the prompt of `generationId`, with a score. It becomes a generation of
 * its own. The same text again is the same generation, and its score replaces the first like any other score.
 */
export interface EditWrite extends FeedbackBase {
  readonly type: 'edit';
  /** UUIDv7 of the generation that the edit becomes. */
  readonly id: string;
  readonly text: string;
  /** The tokens of the text, with the end of sequence. They must fit behind the prompt of `generationId`. */
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

/** The smallest and the largest score of a metric. */
export interface ScoreExtremes {
  readonly metric: string;
  readonly smallest: number;
  readonly largest: number;
}

/** A metric and the range that its scores should be in. */
export interface ScoreBounds {
  readonly metric: string;
  readonly lowest: number;
  readonly highest: number;
}

export interface Preference extends ScoreKey {
  readonly otherId: string;
  /** How `generationId` compares with `otherId`. The order of the two ids has no meaning. */
  readonly outcome: PreferenceOutcome;
  readonly createdAtMs: number;
  /** Sequence number of the change that wrote it. */
  readonly sequence: number;
}

/** The outcome of one item of feedback. A refused item does not affect the others of its batch. */
export type FeedbackOutcome =
  | {
      readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate';
      readonly sequence: number;
      /** For an edit: the generation that it became. */
      readonly generationId?: string;
    }
  | {
      readonly status: 'refused';
      readonly code: 'GENERATION_NOT_FOUND' | 'IDEMPOTENCY_CONFLICT' | 'INVALID_REQUEST';
      readonly message: string;
      /** True if the fault lies with the other generation of a preference. */
      readonly other?: boolean;
    };

/** Records that a version learned from a generation. */
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

/** A change of the data that the learner learns from. Sequence numbers give the order. */
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
  /** Some generations were evicted or erased; the reader asks `existing` which of its own are still stored. */
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
  /** Bytes on the disk: the file, its log and the index of the log. */
  readonly fileBytes: number;
  /** Bytes of the file that are in use, without its log; removed rows leave free room inside the file. */
  readonly usedBytes: number;
  /** Bytes of the log. */
  readonly logBytes: number;
  /** Since when another program keeps a log that is too long from being emptied, ms since 1970. Null: none does. */
  readonly logHeldSinceMs: number | null;
  /** Bound of the bytes in use. Null: no bound. */
  readonly maxBytes: number | null;
  /** Sweeps remove generations older than this, milliseconds. Null: no bound. */
  readonly maxAgeMs: number | null;
  /** Why every write is refused: a request met damage, or the disk has no room. Null: writes are tried. */
  readonly refusal: SerializedError | null;
}
