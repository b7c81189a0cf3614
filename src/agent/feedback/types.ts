/** Feedback as a caller gives it, and its result. */

import type { HoneError } from '../../errors.js';

/**
 * One piece of feedback as a caller gives it, unchecked. Exactly one of score, retraction, preference and edit has to
 * be given.
 */
export interface FeedbackInput {
  readonly generationId: string;
  readonly score?: number | undefined;
  /** Takes the score back. */
  readonly retraction?: boolean | undefined;
  /** How the generation compares with another one of the same prompt. */
  readonly preference?: { readonly otherGenerationId: string; readonly outcome: string } | undefined;
  /** A person's own text in place of the completion. */
  readonly edit?: { readonly text: string; readonly score?: number | undefined } | undefined;
  /** Default `default`. */
  readonly rater?: string | undefined;
  /** Default `score`. */
  readonly metric?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

export type FeedbackKind = 'score' | 'preference' | 'edit';

/** The result of one item, which is on disk unless it was refused. */
export type FeedbackResult =
  | {
      readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate';
      readonly sequence: number;
      /** The generation that an edit became. */
      readonly generationId?: string;
    }
  | { readonly status: 'refused'; readonly error: HoneError };
