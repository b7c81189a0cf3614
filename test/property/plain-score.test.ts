/** The fast check of feedback accepts nothing that the full check refuses, and gives the same result otherwise. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkItem } from '../../src/agent/feedback/check-feedback.js';
import { plainScore } from '../../src/agent/feedback/plain-score.js';
import type { FeedbackInput } from '../../src/agent/feedback/types.js';
import { checkRewardSettings } from '../../src/reward/index.js';

const text = (most: number) =>
  fc.oneof(
    fc.constantFrom(undefined, ''),
    fc.string({ maxLength: 8 }),
    fc.constantFrom('x'.repeat(most), 'x'.repeat(most + 1), 'é'.repeat(most)),
  );

const inputs: fc.Arbitrary<FeedbackInput> = fc.record({
  generationId: fc.oneof(
    fc.uuid(),
    fc.uuid().map((id) => id.toUpperCase()),
    fc.constantFrom('', 'nonsense', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    fc.string(),
  ),
  score: fc.oneof(
    fc.constant(undefined),
    fc.double(),
    fc.double({ min: 0, max: 6, noNaN: true }),
    fc.constantFrom(1, 2.5, 5),
  ),
  retraction: fc.constantFrom(undefined, false, true),
  rater: text(256),
  metric: text(64),
  idempotencyKey: text(128),
});

const settings = checkRewardSettings({ defaultMetric: { min: 5, max: 1 } });

const isNamed = ({ generationId }: FeedbackInput): boolean => !/^(0{8}|f{8})-/.test(generationId);

function inFull(input: FeedbackInput) {
  try {
    return checkItem(input, 5, settings);
  } catch {
    return undefined;
  }
}

it('the fast check and the full check of feedback agree on every score and retraction', () => {
  let taken = 0;
  fc.assert(
    fc.property(inputs, (input) => {
      const plain = plainScore(input, 5, settings);
      if (plain !== undefined) taken += 1;
      expect(plain).toEqual(plain === undefined && !isNamed(input) ? undefined : inFull(input));
    }),
    { numRuns: 2000 },
  );
  expect(taken).toBeGreaterThan(100);
});

it('preferences and edits take the full check', () => {
  const generationId = '01920000-0000-7000-8000-000000000000';
  expect(plainScore({ generationId, score: 1 }, 5, settings)).toBeDefined();
  expect(plainScore({ generationId, score: 1, edit: { text: 'x' } }, 5, settings)).toBeUndefined();
  const preference = { otherGenerationId: generationId, outcome: 'tie' };
  expect(plainScore({ generationId, score: 1, preference }, 5, settings)).toBeUndefined();
});
