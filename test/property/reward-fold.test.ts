/** Laws of the fold from scores to a reward, for random settings and scores. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Fold,
  type FoldableScore,
  type FoldContext,
  foldReward,
  isInRange,
  type MetricSettings,
  type RewardSettings,
  rangeOf,
} from '../../src/reward/index.js';

const metricNames = ['facts', 'tone', 'click'] as const;
const raterNames = ['ann', 'ben', 'model'] as const;
const moment = fc.integer({ min: 0, max: 1000 });
const weight = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1e6, noNaN: true }));

const metricSettings: fc.Arbitrary<MetricSettings> = fc
  .record({
    min: fc.constantFrom(-1, 0, 1, 5),
    width: fc.constantFrom(-4, 1, 4, 1e-3),
    weight,
    windowMs: fc.option(moment),
    withDefault: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    late: fc.constantFrom('use', 'ignore'),
  })
  .map(({ min, width, withDefault, windowMs, late, ...rest }) => ({
    ...rest,
    min,
    max: min + width,
    windowMs,
    default: windowMs === null || withDefault === null ? null : min + withDefault * width,
    late: windowMs === null ? 'use' : (late as 'use' | 'ignore'),
  }));

const anySettings: fc.Arbitrary<RewardSettings> = fc.record({
  metrics: fc.dictionary(fc.constantFrom(...metricNames), metricSettings),
  defaultMetric: metricSettings.map((metric) => ({ ...metric, default: null })),
  raters: fc.dictionary(fc.constantFrom(...raterNames), fc.record({ trust: weight })),
  defaultTrust: weight,
});

/** At most one score per rater and metric, as in the store. */
const anyScores: fc.Arbitrary<FoldableScore[]> = fc.uniqueArray(
  fc.record({
    rater: fc.constantFrom(...raterNames),
    metric: fc.constantFrom(...metricNames),
    value: fc.oneof(
      fc.double({ min: -3, max: 6, noNaN: true }),
      fc.constantFrom(-1, 0, 0.25, 1, 2, 5, Number.MAX_VALUE, -Number.MAX_VALUE),
    ),
    createdAtMs: moment,
  }),
  { selector: ({ rater, metric }) => `${rater}/${metric}` },
);

const anyContext: fc.Arbitrary<FoldContext> = fc.record({
  finishedAtMs: fc.option(moment),
  nowMs: fc.integer({ min: 0, max: 3000 }),
  shown: fc.boolean(),
});

function holds(
  law: (scores: FoldableScore[], context: FoldContext, settings: RewardSettings, fold: Fold) => void,
): void {
  fc.assert(
    fc.property(anyScores, anyContext, anySettings, (scores, context, settings) =>
      law(scores, context, settings, foldReward(scores, context, settings)),
    ),
    { numRuns: 1000 },
  );
}

test('a reward lies in [0, 1], between the smallest and the largest value of its metrics', () => {
  holds((_scores, _context, _settings, { reward, metrics }) => {
    if (reward === null) return;
    const values = metrics.flatMap(({ value }) => (value === null ? [] : [value]));
    expect(reward).toBeGreaterThanOrEqual(Math.max(0, Math.min(...values) - 1e-12));
    expect(reward).toBeLessThanOrEqual(Math.min(1, Math.max(...values) + 1e-12));
  });
});

test('a reward does not depend on the order of the scores, to the last bit', () => {
  holds((scores, context, settings, fold) => {
    expect(foldReward([...scores].reverse(), context, settings)).toEqual(fold);
  });
});

test('every score is used or ignored once, and ignored scores change nothing else', () => {
  holds((scores, context, settings, fold) => {
    const ignored = fold.metrics.flatMap((metric) => metric.ignored);
    const used = fold.metrics.flatMap((metric) => metric.used);
    expect(used.length + ignored.length).toBe(scores.length);
    const counting = scores.filter((s) => !ignored.some((i) => i.rater === s.rater && i.metric === s.metric));
    const again = foldReward(counting, context, settings);
    expect([again.reward, again.pendingUntilMs]).toEqual([fold.reward, fold.pendingUntilMs]);
  });
});

test('a better score within the range never lowers the reward', () => {
  holds((scores, context, settings, { reward }) => {
    for (const [index, score] of scores.entries()) {
      const { max } = settings.metrics[score.metric] ?? settings.defaultMetric;
      if (!isInRange(score.value, rangeOf(settings, score.metric))) continue;
      const better = { ...score, value: (score.value + max) / 2 };
      const raised = foldReward(scores.with(index, better), context, settings).reward;
      if (reward === null) expect(raised).toBeNull();
      else expect(raised).toBeGreaterThanOrEqual(reward - 1e-12);
    }
  });
});

test('a score outside the range of its metric has no effect on the reward', () => {
  holds((scores, context, settings) => {
    const within = scores.filter(({ metric, value }) => isInRange(value, rangeOf(settings, metric)));
    const { reward, pendingUntilMs } = foldReward(scores, context, settings);
    expect(foldReward(within, context, settings)).toMatchObject({ reward, pendingUntilMs });
  });
});

test('a rater with trust zero has no effect on the reward', () => {
  holds((scores, context, settings) => {
    const untrusted = { ...settings, raters: { ...settings.raters, ann: { trust: 0 } } };
    const without = scores.filter(({ rater }) => rater !== 'ann');
    const { reward, pendingUntilMs } = foldReward(scores, context, untrusted);
    expect(foldReward(without, context, untrusted)).toMatchObject({ reward, pendingUntilMs });
  });
});

test('multiplying all weights, or all trusts, by one factor does not change the reward', () => {
  holds((scores, context, settings, { reward }) => {
    const by = (factor: number): RewardSettings => ({
      metrics: Object.fromEntries(
        Object.entries(settings.metrics).map(([name, metric]) => [name, { ...metric, weight: metric.weight * factor }]),
      ),
      defaultMetric: { ...settings.defaultMetric, weight: settings.defaultMetric.weight * factor },
      raters: Object.fromEntries(
        Object.entries(settings.raters).map(([name, { trust }]) => [name, { trust: trust * factor }]),
      ),
      defaultTrust: settings.defaultTrust * factor,
    });
    // Doubling is exact, so the reward is the same to the last bit.
    const doubled = foldReward(scores, context, by(2)).reward;
    expect(doubled).toBe(reward);
  });
});

test('time changes a pending reward only, and settles it at the time that the fold gives', () => {
  holds((scores, context, settings, fold) => {
    const later = (nowMs: number) => foldReward(scores, { ...context, nowMs }, settings);
    const { pendingUntilMs } = fold;
    if (pendingUntilMs !== null) {
      expect(fold.reward).toBeNull();
      expect(pendingUntilMs).toBeGreaterThan(context.nowMs);
      expect(later(pendingUntilMs - 1).reward).toBeNull();
      expect(later(pendingUntilMs).pendingUntilMs).toBeNull();
      expect(later(pendingUntilMs).reward).not.toBeNull();
    } else if (context.finishedAtMs !== null) expect(later(context.nowMs + 5000)).toEqual(fold);
  });
});
