/** Feedback as a caller gives it, and what became of it. */

import type { HoneError } from '../../errors.js';

/** One piece of feedback as a caller gives it, unchecked; exactly one of score, retraction, preference and edit. */
export interface FeedbackInput {
  readonly generationId: string;
  readonly score?: number | undefined;
  /** Takes the score back. */
  readonly retraction?: boolean | undefined;
  /** How the generation compares with another one of the same prompt. */
  readonly preference?: { readonly otherGenerationId: string; readonly outcome: string } | undefined;
  /** A person's own text in its place. */
  readonly edit?: { readonly text: string; readonly score?: number | undefined } | undefined;
  /** Default `default`. */
  readonly rater?: string | undefined;
  /** Default `score`. */
  readonly metric?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

export type FeedbackKind = 'score' | 'preference' | 'edit';

/** What became of one item; it is on disk unless it was refused. */
export type FeedbackResult =
  | {
      readonly status: 'stored' | 'replaced' | 'retracted' | 'duplicate';
      readonly sequence: number;
      /** Of an edit: the generation that it became. */
      readonly generationId?: string;
    }
  | { readonly status: 'refused'; readonly error: HoneError };
