/** Checks feedback, each item by itself, so that a bad one never makes its neighbours fail. */

import { z } from 'zod';
import { HoneError } from '../../errors.js';
import type { EditWrite, FeedbackOutcome, PreferenceWrite, ScoreWrite } from '../../replay/index.js';
import type { RewardSettings } from '../../reward/index.js';
import { isInRange, outsideRange, rangeOf } from '../../reward/range.js';
import { check, invalidRequest, textUpTo } from '../request-errors.js';
import { plainScore } from './plain-score.js';
import type { FeedbackInput, FeedbackKind, FeedbackResult } from './types.js';

/** Most items of one batch. */
export const maxItemsPerBatch = 1000;

const id = z.uuid({ error: 'must be the id (UUID) of a generation' });

const item = z.object({
  generationId: id,
  score: z.number({ error: 'must be a finite number' }).optional(),
  retraction: z.boolean().default(false),
  preference: z
    .object({
      otherGenerationId: id,
      outcome: z.enum(['better', 'worse', 'tie', 'retracted'], { error: 'must be better, worse, tie or retracted' }),
    })
    .optional(),
  edit: z
    .object({
      text: z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' }),
      score: z.number({ error: 'must be a finite number: nothing is learned from a text without a score' }),
    })
    .optional(),
  rater: textUpTo(256).default(''),
  metric: textUpTo(64).default(''),
  idempotencyKey: textUpTo(128).default(''),
});

/** An edit that has no tokens and no id yet. */
export type EditDraft = Omit<EditWrite, 'id' | 'tokens'>;

/** A checked item, or the error for which it is refused. */
export type CheckedFeedback = ScoreWrite | PreferenceWrite | EditDraft | { readonly error: HoneError };

/**
 * Checks one batch; item i fails with field paths such as `items[i].score`, of which the first is `firstIndex`.
 * @param settings have the ranges of the metrics
 * @throws HoneError `INVALID_REQUEST` if the batch is empty or too large
 */
export function checkFeedback(
  items: readonly FeedbackInput[],
  nowMs: number,
  settings: RewardSettings,
  firstIndex = 0,
): CheckedFeedback[] {
  if (items.length === 0 || items.length > maxItemsPerBatch) {
    const description = `must hold 1 to ${maxItemsPerBatch} items, got ${items.length}`;
    throw invalidRequest([{ field: 'items', description }]);
  }
  return withoutStacks(() =>
    items.map((input, index) => {
      try {
        return plainScore(input, nowMs, settings) ?? checkItem(input, nowMs, settings);
      } catch (thrown) {
        return { error: atItem(HoneError.from(thrown), firstIndex + index) };
      }
    }),
  );
}

/** Most of the time that a refused item takes goes into a stack trace, which nobody reads: the caller is at fault. */
function withoutStacks<Result>(make: () => Result): Result {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The kind of an item, valid or not. */
export function kindOf({ preference, edit }: FeedbackInput): FeedbackKind {
  return edit !== undefined ? 'edit' : preference !== undefined ? 'preference' : 'score';
}

/** The full check of one item. @throws HoneError `INVALID_REQUEST` with a violation per field at fault */
export function checkItem(
  input: FeedbackInput,
  nowMs: number,
  settings: RewardSettings,
): ScoreWrite | PreferenceWrite | EditDraft {
  const { score, retraction, preference, edit, ...checked } = check(item, input);
  const given = [score, retraction || undefined, preference, edit].filter((change) => change !== undefined);
  if (given.length !== 1) {
    const description = 'give a score, a retraction, a preference or an edit, one of them';
    throw invalidRequest([{ field: 'score', description }]);
  }
  const common = {
    generationId: checked.generationId.toLowerCase(),
    rater: checked.rater === '' ? 'default' : checked.rater,
    metric: checked.metric === '' ? 'score' : checked.metric,
    idempotencyKey: checked.idempotencyKey,
    createdAtMs: nowMs,
  };
  const checkRange = (field: string, value: number): void => {
    const range = rangeOf(settings, common.metric);
    if (isInRange(value, range)) return;
    throw invalidRequest([{ field, description: outsideRange(common.metric, range, value) }]);
  };
  if (edit !== undefined) {
    checkRange('edit.score', edit.score);
    return { ...common, type: 'edit', text: edit.text, value: edit.score };
  }
  if (score !== undefined) checkRange('score', score);
  if (preference === undefined) return { ...common, type: 'score', value: score ?? null };
  const otherId = preference.otherGenerationId.toLowerCase();
  const { outcome } = preference;
  return { ...common, type: 'preference', otherId, outcome: outcome === 'retracted' ? null : outcome };
}

/** The same error, with its fields named as fields of the item at `index`. */
export function atItem(error: HoneError, index: number): HoneError {
  const violations = error.violations.map(({ field, description }) => ({
    field: `items[${index}].${field}`,
    description,
  }));
  const { code, message } = error;
  return code === 'INVALID_REQUEST' ? invalidRequest(violations) : new HoneError(code, message, { violations });
}

/** The result, for the caller, of the item at `index`, which reached the store. */
export function toResult(outcome: FeedbackOutcome, kind: FeedbackKind, index: number): FeedbackResult {
  if (outcome.status !== 'refused') return outcome;
  const { code, message } = outcome;
  const violations = [{ field: refusedField(outcome, kind), description: message }];
  return { status: 'refused', error: atItem(new HoneError(code, message, { violations }), index) };
}

/** The field for which the store refused an item. */
function refusedField(
  { code, other = false }: Extract<FeedbackOutcome, { readonly status: 'refused' }>,
  kind: FeedbackKind,
): string {
  if (other) return 'preference.other_generation_id';
  if (code === 'IDEMPOTENCY_CONFLICT') return 'idempotency_key';
  if (code === 'GENERATION_NOT_FOUND') return 'generation_id';
  return kind === 'edit' ? 'edit.score' : 'score';
}
