import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkSettings } from '../../src/check-settings.js';

const schema = z.strictObject({
  rank: z.int().min(1).max(256).default(8),
  rate: z.number().positive().lt(1).default(0.5),
  on: z.boolean().default(true),
  kind: z.enum(['constant', 'cosine']).default('constant'),
  raters: z.record(z.string().min(1).max(4), z.strictObject({ trust: z.number() })).default({}),
});

test('fills in the defaults of settings that are absent', () => {
  expect(checkSettings('learner', schema, { rank: 4 })).toEqual({
    rank: 4,
    rate: 0.5,
    on: true,
    kind: 'constant',
    raters: {},
  });
});

test.each([
  [{ rank: 300 }, 'learner.rank: must be at most 256, got 300'],
  [{ rank: 1.5 }, 'learner.rank: must be a whole number, got 1.5'],
  [{ rate: 0 }, 'learner.rate: must be more than 0, got 0'],
  [{ rate: 1 }, 'learner.rate: must be less than 1, got 1'],
  [{ rate: Number.NaN }, 'learner.rate: must be a finite number, got NaN'],
  [{ on: 'no' }, 'learner.on: must be true or false, got "no"'],
  [{ kind: 'square' }, 'learner.kind: must be constant or cosine, got "square"'],
  [{ raters: { ann: { trust: null } } }, 'learner.raters.ann.trust: must be a finite number, got null'],
  [{ raters: { annie: { trust: 1 } } }, 'learner.raters.annie: is a name that must have at most 4 characters'],
  [{ ranks: 4, rates: 1 }, 'learner: has no setting ranks, rates; correct the name or remove it'],
  [{ raters: { ann: { truth: 1, trust: 1 } } }, 'learner.raters.ann: has no setting truth'],
  [[], 'learner: must be an object, got []'],
])('refuses %j with the path, the value and what is allowed', (input, message) => {
  expect(() => checkSettings('learner', schema, input)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining(message) }),
  );
});

test('cuts a long value short in the message', () => {
  expect(() => checkSettings('learner', schema, { on: 'x'.repeat(1000) })).toThrow(
    expect.objectContaining({ message: expect.stringMatching(/^.{40,80} got "x{56}\.\.\.$/) }),
  );
});

test('names every setting at fault at once, also as violations', () => {
  expect(() => checkSettings('learner', schema, { rank: 0, on: 1 })).toThrow(
    expect.objectContaining({
      message:
        'these settings are not valid: learner.rank: must be at least 1, got 0; learner.on: must be true or false, got 1',
      violations: [
        { field: 'learner.rank', description: 'must be at least 1, got 0' },
        { field: 'learner.on', description: 'must be true or false, got 1' },
      ],
    }),
  );
});
