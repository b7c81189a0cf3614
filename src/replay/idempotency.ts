/** Decides whether two items of feedback are the same: they may differ only in their times and in generated ids. */

import { createHash } from 'node:crypto';
import type { FeedbackWrite } from './types.js';

/**
 * The content of an item as JSON, without the generation that it belongs to. The text of an edit appears only as a digest,
 * because erased text must not remain here.
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
