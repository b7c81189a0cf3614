import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Random } from '../../../src/policy/sampling/random.js';
import { Sampler, SamplingScratch } from '../../../src/policy/sampling/sampler.js';
import { TopSelection } from '../../../src/policy/sampling/top-selection.js';
import { logSoftmax, plainSampling } from '../../support/policy/policy.js';

function randomLogits(size: number, seed: number, spread = 4): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => spread * (random.uniform() + random.uniform() - 1));
}

describe('the sampler', () => {
  test('finds the tokens of top-p even if there are more than in its first selection', () => {
    const size = 5000;
    const logits = new Float32Array(size);
    const settings = { ...plainSampling, topP: 0.5 };
    const tokens = Array.from({ length: 200 }, (_, seed) => {
      const { token, sampledLogprob } = new Sampler(settings, [], seed, new SamplingScratch(size)).sample(logits, 0);
      expect(sampledLogprob).toBeCloseTo(-Math.log(size / 2), 3);
      return token;
    });
    expect(Math.max(...tokens)).toBeLessThan(size / 2);
    expect(Math.max(...tokens)).toBeGreaterThan(size / 4);
  });

  test('takes the first of equal largest logits at temperature 0, with log-probability 0', () => {
    const logits = Float32Array.of(1, 3, 3, 2);
    const sampler = new Sampler({ ...plainSampling, temperature: 0 }, [], 1, new SamplingScratch(4));
    expect(sampler.sample(logits, 0)).toMatchObject({ token: 1, sampledLogprob: 0 });
  });

  test.each([
    ['temperature', { temperature: Number.MIN_VALUE }],
    ['temperature with top-k', { temperature: Number.MIN_VALUE, topK: 3 }],
    ['repetition penalty', { repetitionPenalty: Number.MIN_VALUE }],
  ] as const)('returns finite numbers for the smallest %s', (_, change) => {
    const sampler = new Sampler({ ...plainSampling, ...change }, [2], 1, new SamplingScratch(4));
    const { token, sampledLogprob } = sampler.sample(Float32Array.of(0, 3, 2, -1), 0);
    expect(token).toBe('repetitionPenalty' in change ? 2 : 1);
    expect(sampledLogprob).toBe(0);
  });

  test('reads the logits from the given offset on', () => {
    const logits = Float32Array.of(9, 0, 0, 0, 0, 9);
    const sampler = new Sampler({ ...plainSampling, temperature: 0 }, [], 1, new SamplingScratch(3));
    expect(sampler.sample(logits, 3).token).toBe(2);
  });

  test('draws the same tokens for the same seed', () => {
    const logits = randomLogits(100, 1);
    const run = (seed: number): number[] => {
      const sampler = new Sampler(plainSampling, [], seed, new SamplingScratch(100));
      return Array.from({ length: 20 }, () => sampler.sample(logits, 0).token);
    };
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  test('refuses logits that are not finite', () => {
    const sampler = new Sampler(plainSampling, [], 1, new SamplingScratch(2));
    expect(() => sampler.sample(Float32Array.of(1, Number.NaN), 0)).toThrowError(/not finite/);
    expect(() => sampler.sample(Float32Array.of(1, Number.POSITIVE_INFINITY), 0)).toThrowError(/not finite/);
  });

  test('reports the most probable tokens of the raw logits, whatever the settings', () => {
    const logits = randomLogits(50, 9);
    const settings = { ...plainSampling, topLogprobs: 4, logitBias: { 5: 100 } };
    const { top, token } = new Sampler(settings, [], 1, new SamplingScratch(50)).sample(logits, 0);
    const logprobs = logSoftmax(logits);
    const expected = logprobs.map((_, i) => i).sort((a, b) => (logprobs[b] as number) - (logprobs[a] as number));
    expect(token).toBe(5);
    expect(top.map((alternative) => alternative.token)).toEqual(expected.slice(0, 4));
    expect(top[0]?.logprob).toBeCloseTo(logprobs[expected[0] as number] as number, 5);
  });
});

describe('the selection of the largest', () => {
  test('agrees with a stable sort', () => {
    const selection = new TopSelection();
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 70 }),
        (values, k) => {
          selection.select([99, ...values], 1, values.length, k);
          const expected = values
            .map((_, i) => i)
            .sort((a, b) => (values[b] as number) - (values[a] as number))
            .slice(0, k);
          expect([...selection.indices.subarray(0, selection.length)]).toEqual(expected);
        },
      ),
    );
  });
});

describe('the random generator', () => {
  test('is uniform, and similar seeds give unrelated numbers', () => {
    const bins = new Array<number>(64).fill(0);
    const draws = 64_000;
    for (let seed = 0; seed < draws; seed++) {
      const bin = Math.floor(new Random(seed).uniform() * 64);
      bins[bin] = (bins[bin] as number) + 1;
    }
    const chiSquare = bins.reduce((sum, count) => sum + (count - draws / 64) ** 2 / (draws / 64), 0);
    expect(chiSquare).toBeLessThan(63 + 4 * Math.sqrt(126));
    const random = new Random(123);
    const mean = Array.from({ length: 10_000 }, () => random.uniform()).reduce((sum, value) => sum + value, 0) / 10_000;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.012);
  });
});
