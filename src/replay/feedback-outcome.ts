/** Builds the outcome of one item of feedback. */

import type { FeedbackOutcome } from './types.js';

export type Refusal = Extract<FeedbackOutcome, { readonly status: 'refused' }>;
export type Written = Exclude<FeedbackOutcome, { readonly status: 'refused' }>;

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
