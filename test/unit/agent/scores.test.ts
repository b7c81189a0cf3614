import { expect, it } from 'vitest';
import { checkScores, toResult } from '../../../src/agent/scores.js';
import type { ScoreInput } from '../../../src/agent/types.js';

const id = '01920000-0000-7000-8000-000000000000';

function fieldsOf(items: readonly ScoreInput[]): (string | undefined)[] {
  return checkScores(items, 5).map((item) => ('error' in item ? item.error.violations[0]?.field : undefined));
}

it('a bad score is refused by its place and field, and its neighbours pass', () => {
  expect(
    fieldsOf([
      { generationId: id, value: 0.5 },
      { generationId: id, value: Number.NaN },
      { generationId: id, value: Number.POSITIVE_INFINITY },
      { generationId: 'nonsense', value: 1 },
      { generationId: id },
      { generationId: id, value: 1, retract: true },
      { generationId: id, value: 1, rater: 'r'.repeat(257) },
      { generationId: id, value: 1, metric: 'm'.repeat(65) },
      { generationId: id, value: 1, idempotencyKey: 'k'.repeat(129) },
      { generationId: id, retract: true },
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

it('a score without rater and metric is by the default rater on the default metric', () => {
  const [item] = checkScores([{ generationId: id.toUpperCase(), value: -0.25, rater: '', metric: '' }], 5);
  expect(item).toEqual({
    write: {
      type: 'score',
      generationId: id,
      value: -0.25,
      rater: 'default',
      metric: 'score',
      idempotencyKey: '',
      createdAtMs: 5,
    },
  });
});

it('an empty batch and one beyond a thousand are refused', () => {
  expect(() => checkScores([], 0)).toThrow(/items/);
  const item = { generationId: id, value: 1 };
  expect(() =>
    checkScores(
      Array.from({ length: 1001 }, () => item),
      0,
    ),
  ).toThrow(/1001/);
  expect(
    checkScores(
      Array.from({ length: 1000 }, () => item),
      0,
    ),
  ).toHaveLength(1000);
});

it('what the store refuses is told by its place and field, too', () => {
  const fieldOf = (code: 'GENERATION_NOT_FOUND' | 'IDEMPOTENCY_CONFLICT' | 'INVALID_REQUEST') => {
    const result = toResult({ status: 'refused', code, message: 'why' }, 3);
    return 'error' in result ? result.error.violations.map(({ field }) => field) : [];
  };
  expect(fieldOf('GENERATION_NOT_FOUND')).toEqual(['items[3].generation_id']);
  expect(fieldOf('IDEMPOTENCY_CONFLICT')).toEqual(['items[3].idempotency_key']);
  expect(fieldOf('INVALID_REQUEST')).toEqual(['items[3].score']);
});
