/** The measures on which the checks of the gate rest. */

import { describe, expect, it } from 'vitest';
import { findNotFinite } from '../../../src/gate/finite.js';
import { repeatedShare } from '../../../src/gate/repetition.js';
import { beyondChance, estimate, finiteFigures, mean, sum } from '../../../src/gate/statistics.js';
import type { Adapter } from '../../../src/versions/index.js';

describe('an estimate', () => {
  it('is the mean with its standard error', () => {
    // The squared deviations are 4, 0 and 4, so the variance of the mean is 8 / 2 / 3.
    expect(estimate([1, 3, 5])).toEqual({ mean: 3, standardError: expect.closeTo(Math.sqrt(4 / 3), 12), count: 3 });
  });

  it('of two values has a finite error, and of one value an infinite one', () => {
    expect(estimate([1, 3])).toEqual({ mean: 2, standardError: 1, count: 2 });
    expect(estimate([4])).toEqual({ mean: 4, standardError: Number.POSITIVE_INFINITY, count: 1 });
  });
});

describe('a difference is beyond chance', () => {
  const difference = (value: number, standardError: number) => ({ mean: value, standardError, count: 9 });

  it('if it exceeds zero by more than the given number of standard errors', () => {
    expect(beyondChance(difference(2.1, 1), 2)).toBe(true);
    expect(beyondChance(difference(2, 1), 2)).toBe(false);
    expect(beyondChance(difference(1, 0), 2)).toBe(true);
  });

  it('never if it is zero or below', () => {
    expect(beyondChance(difference(0, 1), -1)).toBe(false);
    expect(beyondChance(difference(-1, 1), -2)).toBe(false);
  });
});

it('a sum is the same in any order of its values', () => {
  const values = [1e16, 1, -1e16, 1];
  const sums = [values, [...values].reverse(), [1, 1, 1e16, -1e16]].map(sum);
  expect(new Set(sums).size).toBe(1);
  expect(sum([3, 1, 2])).toBe(6);
});

it('the mean of no values is NaN', () => {
  expect(mean([])).toBeNaN();
  expect(mean([2, 4])).toBe(3);
});

it('figures that are not finite are left out', () => {
  expect(finiteFigures({ a: 1, b: Number.NaN, c: Number.POSITIVE_INFINITY, d: 0 })).toEqual({ a: 1, d: 0 });
});

describe('the repeated share of a completion', () => {
  it.each([
    [[1, 2, 3, 4], 2, 0],
    [[1, 1, 1, 1, 1], 2, 3 / 4],
    [[1, 2, 1, 2, 1, 2], 2, 3 / 5],
    [[1, 2, 3, 1, 2, 3], 3, 1 / 4],
    // 1, 12 and 11, 2 are different pairs.
    [[1, 12, 11, 2], 2, 0],
  ])('of %j with n-grams of %i is %d', (tokens, n, share) => {
    expect(repeatedShare(tokens, n)).toBeCloseTo(share, 12);
  });

  it('is zero if the completion has fewer than two n-grams', () => {
    expect(repeatedShare([1, 1], 2)).toBe(0);
    expect(repeatedShare([], 2)).toBe(0);
    expect(repeatedShare([1, 1, 1], 2)).toBe(1 / 2);
  });
});

describe('the search for numbers that are not finite', () => {
  const adapter = (...data: readonly number[]): Adapter => ({
    rank: 1,
    scale: 1,
    tensors: new Map([
      ['a', { dims: [1, 1], data: Float32Array.of(1) }],
      ['b', { dims: [data.length, 1], data: Float32Array.from(data) }],
    ]),
  });

  it('finds nothing if all weights and figures are finite', () => {
    expect(findNotFinite(adapter(1, -2), { loss: 0.5 })).toBeNull();
  });

  it('names the first weight or the first figure', () => {
    expect(findNotFinite(adapter(1, Number.NaN), { loss: Number.NaN })).toBe('weight 1 of b is NaN');
    expect(findNotFinite(adapter(Number.NEGATIVE_INFINITY), {})).toBe('weight 0 of b is -Infinity');
    expect(findNotFinite(adapter(1), { steps: 1, loss: Number.NaN })).toBe('the learner reports loss as NaN');
  });
});
