/** The fold of preferences into one number: trust by rater, weight by metric. */

import { describe, expect, it } from 'vitest';
import { checkRewardSettings } from '../../../src/reward/index.js';
import { foldPreferences } from '../../../src/reward/preferences.js';

type Outcome = 'better' | 'worse' | 'tie';
const by = (rater: string, outcome: Outcome, metric = 'score') => ({ rater, metric, outcome });
const fold = (preferences: Parameters<typeof foldPreferences>[0], settings: unknown = {}) =>
  foldPreferences(preferences, checkRewardSettings(settings));

describe('the fold of preferences', () => {
  it.each([
    ['better', 1],
    ['tie', 0],
    ['worse', -1],
  ] as const)('of a single rater who finds the first one %s is %d', (outcome, value) => {
    expect(fold([by('ann', outcome)])).toBe(value);
  });

  it('is the mean over raters', () => {
    expect(fold([by('ann', 'better'), by('bob', 'better'), by('cem', 'worse'), by('dee', 'tie')])).toBe(0.25);
  });

  it('weighs raters by their trust, and ignores a rater without trust', () => {
    const settings = { raters: { ann: { trust: 3 }, eve: { trust: 0 } } };
    expect(fold([by('ann', 'better'), by('bob', 'worse')], settings)).toBe(0.5);
    expect(fold([by('bob', 'worse'), by('eve', 'better')], settings)).toBe(-1);
  });

  it('is computed for each metric before metrics are averaged by their weights', () => {
    const settings = { metrics: { facts: { weight: 3 }, mood: { weight: 0 } } };
    const preferences = [by('ann', 'better', 'facts'), by('bob', 'tie', 'facts'), by('ann', 'worse', 'tone')];
    expect(fold(preferences)).toBe(-0.25);
    expect(fold(preferences, settings)).toBe(0.125);
    expect(fold([...preferences, by('ann', 'better', 'mood')], settings)).toBe(0.125);
  });

  it('is null if no preference counts', () => {
    expect(fold([])).toBeNull();
    expect(fold([by('eve', 'better')], { raters: { eve: { trust: 0 } } })).toBeNull();
    expect(fold([by('ann', 'better', 'mood')], { metrics: { mood: { weight: 0 } } })).toBeNull();
  });

  it('is the same in any order of raters and metrics', () => {
    const raters = Object.fromEntries('abcdefgh'.split('').map((name, i) => [name, { trust: 0.1 + i / 7 }]));
    const settings = { raters, metrics: { x: { weight: 0.3 }, y: { weight: 0.7 }, z: { weight: 0.11 } } };
    const preferences = Object.keys(raters).flatMap((rater, i) =>
      (['x', 'y', 'z'] as const).map((metric, j) => by(rater, (i + j) % 3 === 0 ? 'worse' : 'better', metric)),
    );
    const orders = [preferences, [...preferences].reverse(), [...preferences.slice(7), ...preferences.slice(0, 7)]];
    expect(new Set(orders.map((order) => fold(order, settings))).size).toBe(1);
  });
});
