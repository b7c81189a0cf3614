/** Builds the outcome of one item of feedback. */

import type { FeedbackOutcome } from './types.js';

export type Refusal = Extract<FeedbackOutcome, { readonly status: 'refused' }>;
export type Written = Exclude<FeedbackOutcome, { readonly status: 'refused' }>;

/**
 * Most scores of one generation, and most preferences in which it is named first, or second. What explains, exports and
 * learns from a generation holds all of them at once.
 */
export const maxFeedbackOfGeneration = 4096;

/** The refusal of one more than {@link maxFeedbackOfGeneration}. */
export function tooMuch(generationId: string, what: 'scores' | 'preferences'): Refusal {
  return refused(
    'INVALID_REQUEST',
    `generation ${generationId} has ${maxFeedbackOfGeneration} ${what} already, as many as one may have; replace or retract one of them`,
  );
}

/** @param generationId for an edit: the generation that it became */
export function written(status: Written['status'], sequence: number, generationId: string | null = null): Written {
  return generationId === null ? { status, sequence } : { status, sequence, generationId };
}

export function notFound(id: string): Refusal {
  return refused('GENERATION_NOT_FOUND', `no generation ${id} is stored`);
}

export function refused(code: Refusal['code'], message: string): Refusal {
  return { status: 'refused', code, message };
}
