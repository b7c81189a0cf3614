import { expect, test } from 'vitest';
import {
  checkRewardSettings,
  defaultRewardSettings,
  type FoldableScore,
  type FoldContext,
  foldReward,
  type RewardSettings,
} from '../../../src/reward/index.js';

const day = 86_400_000;
const score = (rater: string, metric: string, value: number, createdAtMs = 0): FoldableScore => ({
  rater,
  metric,
  value,
  createdAtMs,
});
const ended: FoldContext = { finishedAtMs: 1000, nowMs: 1000 };

function rewardOf(scores: readonly FoldableScore[], settings: unknown = {}, context = ended): number | null {
  return foldReward(scores, context, checkRewardSettings(settings)).reward;
}

test('raters are averaged within a metric first, so that many raters of one metric do not outweigh another metric', () => {
  const scores = [score('a', 'facts', 1), score('b', 'facts', 0.5), score('c', 'facts', 0), score('a', 'tone', 1)];
  expect(rewardOf(scores)).toBe(0.75);
});

test('scores are mapped to 0 to 1 by the range of their metric, which may run backwards', () => {
  const settings = { metrics: { stars: { min: 1, max: 5 }, seconds: { min: 60, max: 0 } } };
  expect([1, 2, 3, 4, 5].map((stars) => rewardOf([score('a', 'stars', stars)], settings))).toEqual([
    0, 0.25, 0.5, 0.75, 1,
  ]);
  expect([60, 15, 0].map((seconds) => rewardOf([score('a', 'seconds', seconds)], settings))).toEqual([0, 0.75, 1]);
});

test('a score outside the range of its metric does not count, and is not cut to it', () => {
  expect(rewardOf([score('a', 'facts', 7)])).toBeNull();
  expect(rewardOf([score('a', 'facts', -7), score('b', 'facts', 0.25)])).toBe(0.25);
  const settings = checkRewardSettings({ metrics: { seconds: { min: 60, max: 0 } } });
  expect(foldReward([score('a', 'seconds', 60.5), score('b', 'seconds', 30)], ended, settings)).toMatchObject({
    reward: 0.5,
    metrics: [{ used: [{ rater: 'b' }], ignored: [{ rater: 'a', value: 60.5, because: 'out_of_range' }] }],
  });
  const click = { metrics: { click: { windowMs: 0, default: 0.25 } } };
  expect(rewardOf([score('web', 'click', 9)], click)).toBe(0.25);
});

test('metrics are weighted as set, and weight zero leaves a metric out', () => {
  const settings = { metrics: { facts: { weight: 3 }, mood: { weight: 0 } } };
  expect(rewardOf([score('a', 'facts', 0.8), score('a', 'tone', 0)], settings)).toBeCloseTo(0.6, 12);
  const fold = foldReward([score('a', 'mood', 1)], ended, checkRewardSettings(settings));
  expect(fold).toMatchObject({
    reward: null,
    metrics: [{ metric: 'mood', state: 'none', used: [], ignored: [{ because: 'weightless' }] }],
  });
});

test('raters are weighted by trust, and scores of raters without trust do not count', () => {
  const settings = { raters: { expert: { trust: 3 }, troll: { trust: 0 } } };
  const scores = [score('expert', 'score', 1), score('guest', 'score', 0), score('troll', 'score', 0)];
  expect(rewardOf(scores, settings)).toBe(0.75);
  expect(rewardOf(scores, { ...settings, defaultTrust: 0 })).toBe(1);
  expect(rewardOf([score('troll', 'score', 1)], settings)).toBeNull();
  expect(foldReward(scores, ended, checkRewardSettings(settings)).metrics[0]?.ignored).toEqual([
    { ...score('troll', 'score', 0), because: 'untrusted' },
  ]);
});

test('without a score that counts there is no reward, which differs from a reward of zero', () => {
  expect(foldReward([], ended, defaultRewardSettings)).toEqual({ reward: null, pendingUntilMs: null, metrics: [] });
  expect(rewardOf([score('a', 'mood', 0)])).toBe(0);
});

test('a metric with a default holds the reward back until it has a score or its window has closed', () => {
  const settings = { metrics: { click: { windowMs: day, default: 0 } } };
  const at = (nowMs: number, scores: readonly FoldableScore[]) =>
    foldReward(scores, { finishedAtMs: 1000, nowMs }, checkRewardSettings(settings));
  const thumbs = score('a', 'thumbs', 1, 2000);
  expect(at(2000, [])).toMatchObject({ reward: null, pendingUntilMs: 1000 + day, metrics: [{ state: 'pending' }] });
  expect(at(2000, [thumbs])).toMatchObject({ reward: null, pendingUntilMs: 1000 + day });
  expect(at(999 + day, [thumbs]).reward).toBeNull();
  expect(at(1000 + day, [thumbs])).toMatchObject({ reward: 0.5, pendingUntilMs: null });
  expect(at(1000 + day, []).reward).toBe(0);
  expect(at(2000, [thumbs, score('web', 'click', 1, 2000)])).toMatchObject({ reward: 1, pendingUntilMs: null });
});

test('several open windows hold the reward back until the last of them closes', () => {
  const settings = checkRewardSettings({
    metrics: { click: { windowMs: day, default: 0 }, buy: { windowMs: 7 * day, default: 0 } },
  });
  expect(foldReward([], { finishedAtMs: 0, nowMs: 1 }, settings).pendingUntilMs).toBe(7 * day);
  const bought = foldReward([score('shop', 'buy', 1, 1)], { finishedAtMs: 0, nowMs: 1 }, settings);
  expect(bought.pendingUntilMs).toBe(day);
});

test('a late score replaces the default, unless the metric ignores late scores', () => {
  const click = { windowMs: day, default: 0 };
  const late = score('web', 'click', 1, 1000 + day);
  const context = { finishedAtMs: 1000, nowMs: 5 * day };
  expect(rewardOf([late], { metrics: { click } }, context)).toBe(1);
  const strict: RewardSettings = checkRewardSettings({ metrics: { click: { ...click, late: 'ignore' } } });
  expect(foldReward([late], context, strict)).toMatchObject({
    reward: 0,
    metrics: [{ state: 'default', ignored: [{ because: 'late' }], windowEndsAtMs: 1000 + day }],
  });
  expect(foldReward([score('web', 'click', 1, 999 + day)], context, strict).reward).toBe(1);
});

test('before a generation ends scores count, and a metric with a default holds the reward back', () => {
  const settings = { metrics: { click: { windowMs: 0, default: 0, late: 'ignore' } } };
  const running = { finishedAtMs: null, nowMs: 5 * day };
  expect(rewardOf([score('web', 'click', 1, day)], settings, running)).toBe(1);
  expect(foldReward([], running, checkRewardSettings(settings))).toMatchObject({ reward: null, pendingUntilMs: null });
});

test('a completion that no caller saw takes no default and has no pending metric', () => {
  const settings = { metrics: { click: { windowMs: day, default: 0 } } };
  const unseen = { ...ended, shown: false };
  expect(rewardOf([], settings, unseen)).toBeNull();
  expect(rewardOf([score('model', 'quality', 0.5)], settings, unseen)).toBe(0.5);
  expect(rewardOf([score('web', 'click', 1)], settings, unseen)).toBe(1);
  const untrusted = checkRewardSettings({ ...settings, defaultTrust: 0 });
  const late = { ...unseen, nowMs: 5 * day };
  expect(foldReward([score('web', 'click', 1)], late, untrusted)).toMatchObject({ metrics: [{ state: 'none' }] });
});

test('metrics and raters may have the names of object properties', () => {
  expect(rewardOf([score('toString', 'constructor', 0.5), score('a', '__proto__', 0.5)])).toBe(0.5);
});

test('the smaller weight and the smaller trust count less, whichever value they have', () => {
  const settings = { metrics: { facts: { weight: 3 } }, raters: { expert: { trust: 3 } } };
  expect(rewardOf([score('a', 'facts', 0), score('a', 'tone', 1)], settings)).toBe(0.25);
  expect(rewardOf([score('expert', 'tone', 0), score('guest', 'tone', 1)], settings)).toBe(0.25);
});

test('the fold lists metrics by name, and their used and ignored scores by rater', () => {
  const settings = checkRewardSettings({ raters: { y: { trust: 0 }, x: { trust: 0 } } });
  const scores = ['y', 'b', 'x', 'a', 'c'].flatMap((rater) => [score(rater, 'tone', 1), score(rater, 'facts', 1)]);
  const { metrics } = foldReward(scores, ended, settings);
  expect(metrics.map(({ metric }) => metric)).toEqual(['facts', 'tone']);
  for (const { used, ignored, windowEndsAtMs } of metrics) {
    expect(used.map(({ rater }) => rater)).toEqual(['a', 'b', 'c']);
    expect(ignored.map(({ rater }) => rater)).toEqual(['x', 'y']);
    expect(windowEndsAtMs).toBeNull();
  }
});

test('a metric without a score has no part in the reward if it has no default, no weight, or was not shown', () => {
  const fold = (metrics: object, scores: readonly FoldableScore[], shown = true) =>
    foldReward(scores, { finishedAtMs: 0, nowMs: 5, shown }, checkRewardSettings({ metrics })).metrics;
  const late = { windowMs: 1, late: 'ignore' };
  expect(fold({ click: late }, [score('web', 'click', 1, 2)])).toMatchObject([{ state: 'none', value: null }]);
  expect(fold({ click: { windowMs: 9, default: 0, weight: 0 } }, [])).toMatchObject([{ state: 'none' }]);
  expect(fold({ click: { windowMs: 9, default: 0 } }, [], false)).toEqual([]);
});
