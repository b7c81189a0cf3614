/** Scores: each item is checked by itself, so that a bad one never rejects its neighbours. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import type { FeedbackOutcome, ScoreWrite } from '../replay/types.js';
import type { ScoreInput, ScoreResult } from './types.js';
import { check, invalidRequest, textUpTo } from './violations.js';

/** Most items of one batch. */
export const maxScoresPerBatch = 1000;

const item = z.object({
  generationId: z.uuid({ error: 'must be the id (UUID) of a generation' }),
  value: z.number({ error: 'must be a finite number' }).optional(),
  retract: z.boolean().default(false),
  rater: textUpTo(256).default(''),
  metric: textUpTo(64).default(''),
  idempotencyKey: textUpTo(128).default(''),
});

/** A checked item, or why it is refused. */
export type CheckedScore = { readonly write: ScoreWrite } | { readonly error: HoneError };

/**
 * Checks one batch; item i fails with field paths such as `items[i].score`.
 * @throws HoneError `INVALID_REQUEST` where the batch is empty or too large
 */
export function checkScores(items: readonly ScoreInput[], nowMs: number): CheckedScore[] {
  if (items.length === 0 || items.length > maxScoresPerBatch) {
    const description = `must hold 1 to ${maxScoresPerBatch} items, got ${items.length}`;
    throw invalidRequest([{ field: 'items', description }]);
  }
  return items.map((input, index) => {
    try {
      return { write: checkScore(input, nowMs) };
    } catch (thrown) {
      const error = HoneError.from(thrown);
      return {
        error: invalidRequest(
          error.violations.map(({ field, description }) => ({
            // The contract calls the number by its meaning.
            field: `items[${index}].${field === 'value' ? 'score' : field}`,
            description,
          })),
        ),
      };
    }
  });
}

function checkScore(input: ScoreInput, nowMs: number): ScoreWrite {
  const { generationId, value, retract, rater, metric, idempotencyKey } = check(item, input);
  if (retract === (value !== undefined)) {
    throw invalidRequest([{ field: 'value', description: 'give a score or a retraction, one of them' }]);
  }
  return {
    type: 'score',
    generationId: generationId.toLowerCase(),
    rater: rater === '' ? 'default' : rater,
    metric: metric === '' ? 'score' : metric,
    value: value ?? null,
    idempotencyKey,
    createdAtMs: nowMs,
  };
}

/** The field that each refusal of the store is about. */
const refusedFields = {
  GENERATION_NOT_FOUND: 'generation_id',
  IDEMPOTENCY_CONFLICT: 'idempotency_key',
  INVALID_REQUEST: 'score',
} as const;

/** What the caller hears of the item at `index`, which reached the store. */
export function toResult(outcome: FeedbackOutcome, index: number): ScoreResult {
  if (outcome.status !== 'refused') return outcome;
  const { code, message } = outcome;
  const violations = [{ field: `items[${index}].${refusedFields[code]}`, description: message }];
  return { status: 'refused', error: new HoneError(code, message, { violations }) };
}
