import { expect, test } from 'vitest';
import { checkLearnerSettings } from '../../../src/learner/index.js';

test('settings that are absent take their defaults', () => {
  expect(checkLearnerSettings({ beta: 0.2, rank: undefined })).toMatchObject({ beta: 0.2, rank: 8, replayRatio: 6 });
});

test('settings out of range or unknown are refused by name', () => {
  expect(() => checkLearnerSettings({ beta: 0, newestShare: 1.5 })).toThrow(
    expect.objectContaining({
      code: 'INVALID_OPTIONS',
      violations: [
        expect.objectContaining({ field: 'learner.beta' }),
        expect.objectContaining({ field: 'learner.newestShare' }),
      ],
    }),
  );
  expect(() => checkLearnerSettings({ learning_rate: 1 } as never)).toThrow(/learning_rate/);
});
