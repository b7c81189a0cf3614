/** Short forms for items of feedback: `client.feedback(prefer(a, b))`. */

import type { EditItem, FeedbackBy, PreferenceItem } from './types/index.js';

/**
 * A preference: one generation is better than another one of the same prompt.
 * @param by rater, metric and key; `tie`: neither is better
 */
export function prefer(
  better: string,
  other: string,
  { tie = false, ...by }: FeedbackBy & { readonly tie?: boolean } = {},
): PreferenceItem {
  return { ...by, generationId: better, otherGenerationId: other, preference: tie ? 'tie' : 'better' };
}

/** An edit: a person's own text with its score in place of a generation. */
export function edit(generationId: string, text: string, score: number, by: FeedbackBy = {}): EditItem {
  return { ...by, generationId, edit: text, score };
}
