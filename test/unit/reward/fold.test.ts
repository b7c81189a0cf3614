import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultRewardSettings, foldReward, type RewardSettings } from '../../../src/reward/index.js';

const score = (rater: string, metric: string, value: number) => ({ rater, metric, value });

test('raters are averaged per metric before metrics are, so that many raters of one metric do not outweigh another', () => {
  const scores = [score('a', 'facts', 1), score('b', 'facts', 0.5), score('c', 'facts', 0), score('a', 'tone', 1)];
  expect(foldReward(scores)).toBe(0.75);
});

test('metrics weigh as the settings say, a negative weight is a penalty and zero leaves a metric out', () => {
  const settings: RewardSettings = { ...defaultRewardSettings, weights: { facts: 3, length: -1, mood: 0 } };
  expect(foldReward([score('a', 'facts', 0.8), score('a', 'mood', 1)], settings)).toBeCloseTo(0.8);
  expect(foldReward([score('a', 'facts', 0.8), score('a', 'length', 0.4)], settings)).toBeCloseTo((3 * 0.8 - 0.4) / 4);
});

test('nothing that counts is no reward, which is not a reward of zero', () => {
  expect(foldReward([])).toBeNull();
  expect(foldReward([score('a', 'mood', 1)], { ...defaultRewardSettings, weights: { mood: 0 } })).toBeNull();
  expect(foldReward([score('a', 'mood', 0)])).toBe(0);
});

test('a metric with the name of an object property is a metric like any other', () => {
  expect(foldReward([score('a', 'constructor', 0.5), score('a', '__proto__', 0.5)])).toBe(0.5);
});

test('the reward stays in its range, does not depend on the order and grows with every score', () => {
  const anyScore = fc.record({
    rater: fc.constantFrom('a', 'b', 'c'),
    metric: fc.constantFrom('facts', 'tone'),
    value: fc.double({ min: -3, max: 3, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(anyScore, { minLength: 1 }), fc.nat(), (scores, pick) => {
      const reward = foldReward(scores) ?? Number.NaN;
      expect(reward).toBeGreaterThanOrEqual(0);
      expect(reward).toBeLessThanOrEqual(1);
      expect(foldReward([...scores].reverse())).toBeCloseTo(reward, 12);
      const raised = scores.map((s, i) => (i === pick % scores.length ? { ...s, value: s.value + 1 } : s));
      expect(foldReward(raised)).toBeGreaterThanOrEqual(reward - 1e-12);
    }),
    { seed: 3 },
  );
});

test('scores at the end of what numbers can hold give a reward in the range, or none', () => {
  const huge = Number.MAX_VALUE;
  expect(foldReward([score('a', 'facts', huge), score('b', 'facts', huge)])).toBe(1);
  const cancelling = [score('a', 'facts', huge), score('b', 'facts', huge), score('a', 'tone', -huge)];
  expect(foldReward([...cancelling, score('b', 'tone', -huge)])).toBeNull();
});
