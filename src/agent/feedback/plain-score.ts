/** The fast path of the check of feedback: a valid score or retraction. */

import type { ScoreWrite } from '../../replay/index.js';
import type { RewardSettings } from '../../reward/index.js';
import { isInRange, rangeOf } from '../../reward/range.js';
import type { FeedbackInput } from './types.js';

/** A UUID as the full check takes it, without the nil and the max UUID, which the full check handles. */
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

const isTextUpTo = (value: unknown, most: number): value is string | undefined =>
  value === undefined || (typeof value === 'string' && value.length <= most);

/** The write for an item that is plainly valid. If it returns undefined, the full check has to decide. */
export function plainScore(input: FeedbackInput, nowMs: number, settings: RewardSettings): ScoreWrite | undefined {
  const { generationId, score, retraction = false, preference, edit, rater, metric, idempotencyKey = '' } = input;
  if (preference !== undefined || edit !== undefined) return undefined;
  if (typeof generationId !== 'string' || !uuid.test(generationId)) return undefined;
  if (retraction !== (score === undefined)) return undefined;
  if (score !== undefined && !Number.isFinite(score)) return undefined;
  if (!isTextUpTo(rater, 256) || !isTextUpTo(metric, 64) || !isTextUpTo(idempotencyKey, 128)) return undefined;
  const named = metric || 'score';
  if (score !== undefined && !isInRange(score, rangeOf(settings, named))) return undefined;
  return {
    type: 'score',
    generationId: generationId.toLowerCase(),
    rater: rater || 'default',
    metric: named,
    value: score ?? null,
    idempotencyKey,
    createdAtMs: nowMs,
  };
}
