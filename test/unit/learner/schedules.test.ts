import { expect, test } from 'vitest';
import { learningRates } from '../../../src/learner/index.js';
import { betaAt } from '../../../src/learner/schedules.js';
import { settings } from '../../support/learner/experience.js';

test('a decaying learning rate falls from the end of the warm-up to a tenth and stays there', () => {
  const over = { learningRate: 1, warmupSteps: 4, decaySteps: 10 } as const;
  const steps = [0, 3, 4, 9, 14, 500];
  const rates = (learningRateSchedule: 'constant' | 'linear' | 'cosine') =>
    steps.map(learningRates(settings({ ...over, learningRateSchedule })));
  const close = (values: number[]) => values.map((value) => expect.closeTo(value, 12));
  expect(rates('constant')).toEqual(close([0.25, 1, 1, 1, 1, 1]));
  expect(rates('linear')).toEqual(close([0.25, 1, 1, 0.55, 0.1, 0.1]));
  expect(rates('cosine')).toEqual(close([0.25, 1, 1, 0.55, 0.1, 0.1]));
  // Both agree half-way; before that the cosine falls more slowly.
  const [cosine, linear] = (['cosine', 'linear'] as const).map((learningRateSchedule) =>
    learningRates(settings({ ...over, learningRateSchedule }))(6),
  );
  expect(cosine).toBeGreaterThan(linear as number);
});

test('beta goes from its initial value to the final one by the same factor at each step', () => {
  const chosen = settings({ beta: 0.05, betaInitial: 0.8, betaSteps: 4 });
  expect([0, 1, 2, 3, 4, 5].map((step) => betaAt(chosen, step))).toEqual(
    [0.8, 0.4, 0.2, 0.1, 0.05, 0.05].map((value) => expect.closeTo(value, 12)),
  );
});

test('beta is constant unless the settings ask for annealing', () => {
  expect(settings({ beta: 0.3 }).betaInitial).toBe(0.3);
  expect(betaAt(settings({ beta: 0.3 }), 0)).toBe(0.3);
});
