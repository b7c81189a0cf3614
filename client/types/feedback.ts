/** Feedback, and the explanation of a reward. */

import type { HoneClientError } from '../errors.js';
import type { Generation, GenerationOrigin } from './generation.js';
import type { OrUnknown } from './or-unknown.js';
import type { Version } from './versions.js';

/** Fields of every item of feedback. */
export interface FeedbackBy {
  /** Who gives the feedback. Default `default`. */
  readonly rater?: string | undefined;
  /** What is measured. Default `score`. */
  readonly metric?: string | undefined;
  /** Default: a new key per item, so that a retried call never counts twice. */
  readonly idempotencyKey?: string | undefined;
}

/** A score, or its retraction. A second score of the same rater and metric replaces the first. */
export interface ScoreItem extends FeedbackBy {
  readonly generationId: string;
  /** Larger is better; within the range of the metric, by default from 0 to 1. `null` retracts the score. */
  readonly score: number | null;
  readonly preference?: undefined;
  readonly otherGenerationId?: undefined;
  readonly edit?: undefined;
}

/**
 * A comparison of a generation with another one of the same prompt. A second preference of the same pair, rater and
 * metric replaces the first; the order of the pair does not matter. See {@link prefer}.
 */
export interface PreferenceItem extends FeedbackBy {
  readonly generationId: string;
  readonly otherGenerationId: string;
  /** Whether `generationId` is better or worse, or neither; `null` retracts the preference. */
  readonly preference: 'better' | 'worse' | 'tie' | null;
  readonly score?: undefined;
  readonly edit?: undefined;
}

/** A person's own text in place of a generation. It becomes a generation of its own. See {@link edit}. */
export interface EditItem extends FeedbackBy {
  readonly generationId: string;
  /** The text, not empty. */
  readonly edit: string;
  /** Its score, within the range of the metric. To withdraw the edit, retract the score of the generation that the outcome names. */
  readonly score: number;
  readonly preference?: undefined;
  readonly otherGenerationId?: undefined;
}

/** One item of feedback. */
export type FeedbackItem = ScoreItem | PreferenceItem | EditItem;

/** The result of an item. The item is on disk unless it was refused. */
export type FeedbackOutcome =
  | {
      readonly position: number;
      readonly status: OrUnknown<'stored' | 'replaced' | 'retracted' | 'duplicate'>;
      /** Sequence number of the change in the store. */
      readonly sequence?: number;
      /** For an edit: the id of its own generation. */
      readonly generationId?: string;
    }
  | { readonly position: number; readonly status: 'refused'; readonly error: HoneClientError };

/** A score and its part in the reward. */
export interface ExplainedScore {
  readonly rater: string;
  readonly value: number;
  /** Time when it was given or last changed. */
  readonly createdAtMs: number;
  /** The reason why it does not count; absent if it counts. */
  readonly ignoredBecause?: OrUnknown<'untrusted' | 'late' | 'weightless' | 'out_of_range'>;
  /** The rater's trust. */
  readonly trust?: number;
  /** The score on the scale from 0 to 1. */
  readonly scaled?: number;
}

/** The part of one metric in a reward. */
export interface ExplainedMetric {
  readonly metric: string;
  /** Its value comes from its scores or its default, is still pending, or does not exist. */
  readonly state: OrUnknown<'scored' | 'default' | 'pending' | 'none'>;
  /** From 0 to 1. */
  readonly value?: number;
  readonly weight: number;
  readonly windowEndsAtMs?: number;
  readonly scores: readonly ExplainedScore[];
}

/** A preference that includes a generation, seen from the generation's side. */
export interface ExplainedPreference {
  readonly otherGenerationId: string;
  /** A preference that was taken back does not stand, so none is `retracted`. */
  readonly outcome: OrUnknown<'better' | 'worse' | 'tie' | 'retracted'>;
  readonly rater: string;
  readonly metric: string;
  readonly trust: number;
  readonly weight: number;
  readonly createdAtMs: number;
}

/** A reason why a generation cannot train now. */
export type TrainingObstacle =
  | 'running'
  | 'cancelled'
  | 'aborted'
  | 'empty'
  | 'other_package'
  | 'stale'
  | 'held_out'
  | 'pending'
  | 'no_feedback'
  | 'learner_off'
  | 'unfit'
  | 'set_aside';

/** How the scores became a reward, and which versions learned from it. */
export interface Explanation {
  readonly generationId: string;
  readonly state: Generation['state'];
  readonly origin: OrUnknown<GenerationOrigin>;
  /** For an edit: the id of the edited generation; empty for others. */
  readonly editOf: string;
  readonly version: number;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  /** From 0 to 1; absent if no score counts or a metric is still pending. */
  readonly reward?: number;
  readonly pendingUntilMs?: number;
  readonly metrics: readonly ExplainedMetric[];
  readonly preferences: readonly ExplainedPreference[];
  readonly edits: readonly { readonly generationId: string; readonly reward?: number }[];
  /** Empty if it can train. */
  readonly obstacles: readonly OrUnknown<TrainingObstacle>[];
  /** What is wrong with a generation that is `unfit` or `set_aside`; empty for others. */
  readonly setAsideBecause: string;
  /** The versions that learned from it, oldest first. */
  readonly lessons: readonly { readonly version: number; readonly state?: Version['state'] }[];
}
