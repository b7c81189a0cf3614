import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { expBelow0 } from '../../../src/policy/sampling/exponential.js';

describe('the exponential of numbers below 0', () => {
  test('agrees with Math.exp to thirteen digits', () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(expBelow0(x) / Math.exp(x) - 1)).toBeLessThan(1e-13);
      }),
      { numRuns: 20_000 },
    );
  });

  test('is 1 at 0, 0 below the smallest double, and NaN for NaN', () => {
    expect(expBelow0(0)).toBe(1);
    expect(expBelow0(-0)).toBe(1);
    expect(expBelow0(-720)).toBeCloseTo(0, 300);
    expect(expBelow0(-746)).toBe(0);
    expect(expBelow0(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(expBelow0(Number.NaN)).toBeNaN();
  });
});
