import { expect, test } from 'vitest';
import { HoneError } from '../../../src/errors.js';
import { checkRewardSettings, metricOfRater } from '../../../src/reward/index.js';
import { trustOf, weightOf } from '../../../src/reward/settings.js';

const plain = { min: 0, max: 1, weight: 1, windowMs: null, default: null, late: 'use' };

function fieldsOf(input: unknown): string[] {
  try {
    checkRewardSettings(input);
  } catch (thrown) {
    if (thrown instanceof HoneError && thrown.code === 'INVALID_OPTIONS') return thrown.violations.map((v) => v.field);
    throw thrown;
  }
  return [];
}

test('absent reward settings take their defaults', () => {
  expect(checkRewardSettings()).toEqual({ metrics: {}, defaultMetric: plain, raters: {}, defaultTrust: 1 });
  expect(checkRewardSettings({ metrics: { stars: { min: 1, max: 5 } } }).metrics.stars).toEqual({
    ...plain,
    min: 1,
    max: 5,
  });
});

test.each([
  ['an unknown setting', { metric: {} }, 'reward'],
  ['an unknown setting of a metric', { metrics: { stars: { maximum: 5 } } }, 'reward.metrics.stars'],
  ['a range without width', { metrics: { stars: { min: 1 } } }, 'reward.metrics.stars.max'],
  ['a negative weight', { metrics: { stars: { weight: -1 } } }, 'reward.metrics.stars.weight'],
  ['negative trust', { raters: { ann: { trust: -1 } } }, 'reward.raters.ann.trust'],
  ['a default without a window', { metrics: { click: { default: 0 } } }, 'reward.metrics.click.windowMs'],
  ['late scores without a window', { defaultMetric: { late: 'ignore' } }, 'reward.defaultMetric.windowMs'],
  ['a default out of range', { metrics: { c: { default: 2, windowMs: 1 } } }, 'reward.metrics.c.default'],
  ['a default below the range', { metrics: { c: { default: -1, windowMs: 1 } } }, 'reward.metrics.c.default'],
  [
    'a default score for all other metrics',
    { defaultMetric: { default: 0, windowMs: 1 } },
    'reward.defaultMetric.default',
  ],
  ['a range that is not finite', { metrics: { c: { max: Number.MAX_VALUE } } }, 'reward.metrics.c.max'],
  ['a metric without a name', { metrics: { '': {} } }, 'reward.metrics.'],
  ['a list in place of an object', [], 'reward'],
])('reward settings with %s are refused with the path', (_, input, field) => {
  expect(fieldsOf(input)).toEqual([field]);
});

test('all reward settings at fault are named at once', () => {
  const input = { metrics: { a: { weight: -1 }, b: { late: 'maybe' } }, defaultTrust: 'much' };
  expect(fieldsOf(input)).toEqual(['reward.metrics.a.weight', 'reward.metrics.b.late', 'reward.defaultTrust']);
});

test('a default may lie at either end of the range', () => {
  for (const value of [0, 1]) expect(fieldsOf({ metrics: { c: { default: value, windowMs: 1 } } })).toEqual([]);
});

test('a rater without a metric of its own scores the metric "score"', () => {
  const settings = checkRewardSettings({ raters: { judge: { metric: 'facts' }, ann: {} } });
  expect(['judge', 'ann', 'guest'].map((rater) => metricOfRater(settings, rater))).toEqual(['facts', 'score', 'score']);
});

test('raters and metrics of reward settings may have any name, also that of a property which every object has', () => {
  const settings = checkRewardSettings(
    JSON.parse('{"raters":{"__proto__":{"trust":0}},"metrics":{"__proto__":{"weight":3},"constructor":{"weight":5}}}'),
  );
  expect([trustOf(settings, '__proto__'), trustOf(settings, 'constructor')]).toEqual([0, 1]);
  expect([weightOf(settings, '__proto__'), weightOf(settings, 'constructor')]).toEqual([3, 5]);
});
