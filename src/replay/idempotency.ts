/** What makes two items of feedback the same: everything but when they came and which ids they were given. */

import { createHash } from 'node:crypto';
import type { FeedbackWrite } from './types.js';

/**
 * The content of an item in words, without the generation that it is about. Texts of edits are there as their digest
 * only: what is erased must not be found here.
 */
export function contentOf(item: FeedbackWrite): string {
  const { type, rater, metric } = item;
  switch (type) {
    case 'score':
      return scoreContent(rater, metric, item.value);
    case 'preference':
      return JSON.stringify([type, rater, metric, item.otherId, item.outcome]);
    case 'edit':
      return JSON.stringify([type, rater, metric, item.value, createHash('sha256').update(item.text).digest('hex')]);
  }
}

export function scoreContent(rater: string, metric: string, value: number | null): string {
  return JSON.stringify(['score', rater, metric, value]);
}
