/** Feedback and what comes of it, in the words of TypeScript. */

import type { HoneClientError } from '../errors.js';
import type { Generation, GenerationOrigin } from './generation.js';
import type { OrUnknown } from './or-unknown.js';
import type { Version } from './versions.js';

/** What every piece of feedback says beside its content. */
export interface FeedbackBy {
  /** Who says so. Default `default`. */
  readonly rater?: string | undefined;
  /** What is measured. Default `score`. */
  readonly metric?: string | undefined;
  /** Default: a random one, so that a repeated call never counts twice. */
  readonly idempotencyKey?: string | undefined;
}

/** A score, or one taken back. A second score of the same rater and metric replaces the first. */
export interface ScoreItem extends FeedbackBy {
  readonly generationId: string;
  /** Finite, larger is better; `null` takes the score back. */
  readonly score: number | null;
}

/**
 * How a generation compares with another one of the same prompt. A second preference of the same pair, rater and metric
 * replaces the first, whichever of the two is named first. See {@link prefer}.
 */
export interface PreferenceItem extends FeedbackBy {
  readonly generationId: string;
  readonly otherGenerationId: string;
  /** `generationId` is better, worse, or neither; `null` takes the preference back. */
  readonly preference: 'better' | 'worse' | 'tie' | null;
}

/** A person's own text in a generation's place; it becomes a generation of its own. See {@link edit}. */
export interface EditItem extends FeedbackBy {
  readonly generationId: string;
  /** The text as it should have been; not empty. */
  readonly edit: string;
  /** Its score. To withdraw the edit, take this score back: of the generation that the outcome names. */
  readonly score: number;
}

/** One piece of feedback. */
export type FeedbackItem = ScoreItem | PreferenceItem | EditItem;

/** What became of an item: on disk, unless it was refused. */
export type FeedbackOutcome =
  | {
      readonly position: number;
      readonly status: OrUnknown<'stored' | 'replaced' | 'retracted' | 'duplicate'>;
      /** Sequence number of the change in the store. */
      readonly sequence?: number;
      /** Of an edit: the generation that it became. */
      readonly generationId?: string;
    }
  | { readonly position: number; readonly status: 'refused'; readonly error: HoneClientError };

/** A score and how it counts. */
export interface ExplainedScore {
  readonly rater: string;
  readonly value: number;
  /** When it was given or last changed. */
  readonly createdAtMs: number;
  /** Why it does not count; absent where it does. */
  readonly ignoredBecause?: OrUnknown<'untrusted' | 'late' | 'weightless'>;
  /** How much its rater is believed. */
  readonly trust?: number;
  /** On the scale from 0 to 1. */
  readonly scaled?: number;
}

/** One metric's part in a reward. */
export interface ExplainedMetric {
  readonly metric: string;
  /** By its scores, by its default, still waited for, or without a part. */
  readonly state: OrUnknown<'scored' | 'default' | 'pending' | 'none'>;
  /** From 0 to 1. */
  readonly value?: number;
  readonly weight: number;
  readonly windowEndsAtMs?: number;
  readonly scores: readonly ExplainedScore[];
}

/** A preference that a generation took part in, from its side. */
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

/** Why a generation does not train now. */
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
  | 'learner_off';

/** From scores to a reward to versions. */
export interface Explanation {
  readonly generationId: string;
  readonly state: Generation['state'];
  readonly origin: OrUnknown<GenerationOrigin>;
  /** Of an edit: the generation in whose place it stands; empty for others. */
  readonly editOf: string;
  readonly version: number;
  readonly createdAtMs: number;
  readonly finishedAtMs?: number;
  /** From 0 to 1; absent where nothing counts, or something is waited for. */
  readonly reward?: number;
  readonly pendingUntilMs?: number;
  readonly metrics: readonly ExplainedMetric[];
  readonly preferences: readonly ExplainedPreference[];
  readonly edits: readonly { readonly generationId: string; readonly reward?: number }[];
  /** Empty where it may train. */
  readonly obstacles: readonly OrUnknown<TrainingObstacle>[];
  /** The versions that learned from it, oldest first. */
  readonly lessons: readonly { readonly version: number; readonly state?: Version['state'] }[];
}
