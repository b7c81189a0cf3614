/** How feedback is checked. */

import { expect, it } from 'vitest';
import { checkFeedback, toResult } from '../../../../src/agent/feedback/check-feedback.js';
import type { FeedbackInput, FeedbackKind } from '../../../../src/agent/feedback/types.js';
import type { FeedbackOutcome } from '../../../../src/replay/types.js';
import { checkRewardSettings } from '../../../../src/reward/index.js';

const id = '01920000-0000-7000-8000-00000000000a';
const otherId = '01920000-0000-7000-8000-00000000000b';

const settings = checkRewardSettings({ metrics: { stars: { min: 1, max: 5 }, seconds: { min: 60, max: 0 } } });

function fieldsOf(items: readonly FeedbackInput[]): (string | undefined)[] {
  return checkFeedback(items, 5, settings).map((item) =>
    'error' in item ? item.error.violations[0]?.field : undefined,
  );
}

it('refuses a bad item with its place and field, and takes its neighbours', () => {
  expect(
    fieldsOf([
      { generationId: id, score: 0.5 },
      { generationId: id, score: Number.NaN },
      { generationId: id, score: Number.POSITIVE_INFINITY },
      { generationId: 'nonsense', score: 1 },
      { generationId: id },
      { generationId: id, score: 1, retraction: true },
      { generationId: id, score: 1, rater: 'r'.repeat(257) },
      { generationId: id, score: 1, metric: 'm'.repeat(65) },
      { generationId: id, score: 1, idempotencyKey: 'k'.repeat(129) },
      { generationId: id, retraction: true },
    ]),
  ).toEqual([
    undefined,
    'items[1].score',
    'items[2].score',
    'items[3].generation_id',
    'items[4].score',
    'items[5].score',
    'items[6].rater',
    'items[7].metric',
    'items[8].idempotency_key',
    undefined,
  ]);
});

it('refuses a preference without another generation and outcome, and an edit without text and score', () => {
  const preference = { otherGenerationId: otherId, outcome: 'better' };
  expect(
    fieldsOf([
      { generationId: id, preference },
      { generationId: id, preference: { ...preference, outcome: 'retracted' } },
      { generationId: id, preference: { ...preference, otherGenerationId: 'nonsense' } },
      { generationId: id, preference: { ...preference, outcome: '' } },
      { generationId: id, preference, score: 1 },
      { generationId: id, edit: { text: 'Better.', score: 1 } },
      { generationId: id, edit: { text: '', score: 1 } },
      { generationId: id, edit: { text: 'Better.' } },
      { generationId: id, edit: { text: 'Better.', score: Number.NaN } },
      { generationId: id, edit: { text: 'Better.', score: 1 }, preference },
    ]),
  ).toEqual([
    undefined,
    undefined,
    'items[2].preference.other_generation_id',
    'items[3].preference.outcome',
    'items[4].score',
    undefined,
    'items[6].edit.text',
    'items[7].edit.score',
    'items[8].edit.score',
    'items[9].score',
  ]);
});

it('refuses a score or an edit outside the range of its metric, with the metric, its range and the way to set one', () => {
  const items: FeedbackInput[] = [
    { generationId: id, score: 8 },
    { generationId: id, score: -0.001 },
    { generationId: id, score: 0, metric: 'stars' },
    { generationId: id, score: 60.5, metric: 'seconds' },
    { generationId: id, edit: { text: 'x', score: 4 } },
    { generationId: id, edit: { text: 'x', score: 5.5 }, metric: 'stars' },
  ];
  const refused = checkFeedback(items, 5, settings).map((item) => ('error' in item ? item.error : undefined));
  expect(refused.map((error) => [error?.code, error?.violations[0]?.field])).toEqual([
    ['INVALID_REQUEST', 'items[0].score'],
    ['INVALID_REQUEST', 'items[1].score'],
    ['INVALID_REQUEST', 'items[2].score'],
    ['INVALID_REQUEST', 'items[3].score'],
    ['INVALID_REQUEST', 'items[4].edit.score'],
    ['INVALID_REQUEST', 'items[5].edit.score'],
  ]);
  expect(refused[0]?.message).toContain(
    'items[0].score: must be from 0 to 1, the range of the metric "score", got 8; to set another range, start the server with --reward-settings (docs/feedback.md)',
  );
  expect(refused[3]?.message).toContain('from 0 to 60, the range of the metric "seconds", got 60.5');
});

it('takes scores and edits on the edges of the range of their metric', () => {
  const at = (metric: string | undefined, ...scores: readonly number[]): FeedbackInput[] =>
    scores.flatMap((score) => [
      { generationId: id, score, metric },
      { generationId: id, edit: { text: 'x', score }, metric },
    ]);
  const items = [...at(undefined, 0, 0.5, 1), ...at('stars', 1, 3, 5), ...at('seconds', 0, 60)];
  expect(fieldsOf(items).filter((field) => field !== undefined)).toEqual([]);
});

it('gives an item without rater and metric the default rater and the default metric', () => {
  const common = { generationId: id, rater: 'default', metric: 'score', idempotencyKey: '', createdAtMs: 5 };
  const upper = { generationId: id.toUpperCase(), rater: '', metric: '' };
  const preference = { otherGenerationId: otherId.toUpperCase(), outcome: 'retracted' };
  expect(checkFeedback([{ ...upper, score: 0.25 }], 5, settings)).toEqual([{ ...common, type: 'score', value: 0.25 }]);
  expect(checkFeedback([{ ...upper, retraction: true }], 5, settings)).toEqual([
    { ...common, type: 'score', value: null },
  ]);
  expect(checkFeedback([{ ...upper, preference }], 5, settings)).toEqual([
    { ...common, type: 'preference', otherId, outcome: null },
  ]);
  expect(checkFeedback([{ ...upper, edit: { text: ' x ', score: 1 } }], 5, settings)).toEqual([
    { ...common, type: 'edit', text: ' x ', value: 1 },
  ]);
});

it('refuses an empty batch and a batch of more than a thousand items', () => {
  const batch = (length: number) => Array.from({ length }, () => ({ generationId: id, score: 1 }));
  expect(() => checkFeedback([], 0, settings)).toThrow(/items/);
  expect(() => checkFeedback(batch(1001), 0, settings)).toThrow(/1001/);
  expect(checkFeedback(batch(1000), 0, settings)).toHaveLength(1000);
});

it.each<[FeedbackKind, Partial<Extract<FeedbackOutcome, { status: 'refused' }>>, string]>([
  ['score', { code: 'GENERATION_NOT_FOUND' }, 'generation_id'],
  ['score', { code: 'IDEMPOTENCY_CONFLICT' }, 'idempotency_key'],
  ['score', { code: 'INVALID_REQUEST' }, 'score'],
  ['edit', { code: 'INVALID_REQUEST' }, 'edit.score'],
  ['preference', { code: 'GENERATION_NOT_FOUND' }, 'generation_id'],
  ['preference', { code: 'GENERATION_NOT_FOUND', other: true }, 'preference.other_generation_id'],
  ['preference', { code: 'INVALID_REQUEST', other: true }, 'preference.other_generation_id'],
])('names place and field when the store refuses a %s (%j)', (kind, outcome, field) => {
  const result = toResult({ status: 'refused', code: 'INVALID_REQUEST', message: 'why', ...outcome }, kind, 3);
  expect('error' in result ? result.error.violations : []).toEqual([
    { field: `items[3].${field}`, description: 'why' },
  ]);
});
