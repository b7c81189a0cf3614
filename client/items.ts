/** Feedback in the fewest words: `client.feedback(prefer(a, b))`. */

import type { EditItem, FeedbackBy, PreferenceItem } from './types/index.js';

/**
 * Says that one generation is better than another one of the same prompt.
 * @param by rater, metric and key; `tie`: neither is better
 */
export function prefer(
  better: string,
  other: string,
  { tie = false, ...by }: FeedbackBy & { readonly tie?: boolean } = {},
): PreferenceItem {
  return { ...by, generationId: better, otherGenerationId: other, preference: tie ? 'tie' : 'better' };
}

/** Puts a person's own text, with its score, in a generation's place. */
export function edit(generationId: string, text: string, score: number, by: FeedbackBy = {}): EditItem {
  return { ...by, generationId, edit: text, score };
}
