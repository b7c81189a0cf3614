import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Random } from '../../../src/policy/random.js';
import { Sampler, SamplingScratch } from '../../../src/policy/sampler.js';
import { TopSelection } from '../../../src/policy/top-selection.js';
import type { SamplingSettings } from '../../../src/policy/types.js';
import { logSoftmax, plainSampling } from './support.js';

/** The distribution that settings ask for, written down plainly and slowly. */
function referenceDistribution(
  logits: readonly number[],
  settings: SamplingSettings,
  prompt: readonly number[],
  completion: readonly number[],
): number[] {
  const scores = logits.map((value, token) => value + (settings.logitBias[token] ?? 0));
  for (const token of new Set([...prompt, ...completion])) {
    const score = scores[token] as number;
    scores[token] = score > 0 ? score / settings.repetitionPenalty : score * settings.repetitionPenalty;
  }
  for (const token of new Set(completion)) {
    const count = completion.filter((other) => other === token).length;
    scores[token] = (scores[token] as number) - settings.presencePenalty - settings.frequencyPenalty * count;
  }
  if (settings.temperature === 0) {
    const best = scores.indexOf(Math.max(...scores));
    return scores.map((_, token) => (token === best ? 1 : 0));
  }
  let weights = logSoftmax(scores.map((score) => score / settings.temperature)).map(Math.exp);
  const order = weights
    .map((_, token) => token)
    .sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const normalize = (): void => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    weights = weights.map((weight) => weight / total);
  };
  if (settings.topK > 0) {
    const kept = new Set(order.slice(0, settings.topK));
    weights = weights.map((weight, token) => (kept.has(token) ? weight : 0));
    normalize();
  }
  if (settings.topP < 1) {
    let cumulative = 0;
    const kept = new Set<number>();
    for (const token of order) {
      if (cumulative >= settings.topP) break;
      kept.add(token);
      cumulative += weights[token] as number;
    }
    weights = weights.map((weight, token) => (kept.has(token) ? weight : 0));
  }
  const threshold = settings.minP * Math.max(...weights);
  weights = weights.map((weight) => (weight < threshold ? 0 : weight));
  normalize();
  return weights;
}

function randomLogits(size: number, seed: number, spread = 4): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => spread * (random.uniform() + random.uniform() - 1));
}

const cases: [string, Partial<SamplingSettings>][] = [
  ['everything off', {}],
  ['temperature', { temperature: 0.6 }],
  ['high temperature', { temperature: 2.5 }],
  ['top-k', { topK: 5 }],
  ['top-k of one', { topK: 1 }],
  ['top-p', { topP: 0.7 }],
  ['a tiny top-p', { topP: 1e-9 }],
  ['min-p', { minP: 0.2 }],
  ['top-k, top-p and min-p', { temperature: 1.4, topK: 20, topP: 0.8, minP: 0.1 }],
  ['a repetition penalty', { repetitionPenalty: 1.6 }],
  ['presence and frequency penalties', { presencePenalty: 0.7, frequencyPenalty: 0.5 }],
  ['a bias', { logitBias: { 3: 2, 7: -50 } }],
  [
    'all at once',
    {
      temperature: 0.8,
      topK: 25,
      topP: 0.9,
      minP: 0.02,
      repetitionPenalty: 1.2,
      presencePenalty: 0.3,
      frequencyPenalty: 0.2,
      logitBias: { 11: 3 },
    },
  ],
];

describe('the sampler', () => {
  test.each(cases)('with %s draws from the distribution of a plain reference', (_, change) => {
    const size = 40;
    const settings = { ...plainSampling, ...change };
    const logits = randomLogits(size, 3);
    const prompt = [1, 2, 3, 3];
    const draws = 2000;
    const counts = new Array<number>(size).fill(0);
    const expected = new Array<number>(size).fill(0);
    const scratch = new SamplingScratch(size);
    const raw = logSoftmax(logits);
    let error = 0;
    for (let draw = 0; draw < draws; draw++) {
      const sampler = new Sampler(settings, prompt, draw, scratch);
      const completion: number[] = [];
      // The second token sees the penalties of the first.
      for (let step = 0; step < 2; step++) {
        const distribution = referenceDistribution([...logits], settings, prompt, completion);
        const { token, logprob, sampledLogprob } = sampler.sample(logits, 0);
        error = Math.max(error, Math.abs(sampledLogprob - Math.log(distribution[token] as number)));
        error = Math.max(error, Math.abs(logprob - (raw[token] as number)));
        counts[token] = (counts[token] as number) + 1;
        for (const [i, p] of distribution.entries()) expected[i] = (expected[i] as number) + p;
        completion.push(token);
      }
    }
    expect(error).toBeLessThan(1e-5);
    // Pearson's chi-square over the tokens that can appear; 99.99 % quantile by Wilson and Hilferty.
    const possible = expected.flatMap((count, token) => (count > 5 ? [token] : []));
    const chiSquare = possible.reduce((sum, i) => {
      const difference = (counts[i] as number) - (expected[i] as number);
      return sum + difference ** 2 / (expected[i] as number);
    }, 0);
    const degrees = Math.max(possible.length - 1, 1);
    expect(chiSquare).toBeLessThan(degrees * (1 - 2 / (9 * degrees) + 3.72 * Math.sqrt(2 / (9 * degrees))) ** 3);
    for (const [token, count] of counts.entries()) if (expected[token] === 0) expect(count).toBe(0);
  });

  test('searches the nucleus of a flat distribution beyond its first selection', () => {
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

  test('takes the first of equal logits at temperature 0, with certainty', () => {
    const logits = Float32Array.of(1, 3, 3, 2);
    const sampler = new Sampler({ ...plainSampling, temperature: 0 }, [], 1, new SamplingScratch(4));
    expect(sampler.sample(logits, 0)).toMatchObject({ token: 1, sampledLogprob: 0 });
  });

  test.each([
    ['temperature', { temperature: Number.MIN_VALUE }],
    ['temperature, of a selection', { temperature: Number.MIN_VALUE, topK: 3 }],
    ['repetition penalty', { repetitionPenalty: Number.MIN_VALUE }],
  ] as const)('gives numbers for the smallest %s', (_, change) => {
    const sampler = new Sampler({ ...plainSampling, ...change }, [2], 1, new SamplingScratch(4));
    const { token, sampledLogprob } = sampler.sample(Float32Array.of(0, 3, 2, -1), 0);
    expect(token).toBe('repetitionPenalty' in change ? 2 : 1);
    expect(sampledLogprob).toBe(0);
  });

  test('reads its row of a batch', () => {
    const logits = Float32Array.of(9, 0, 0, 0, 0, 9);
    const sampler = new Sampler({ ...plainSampling, temperature: 0 }, [], 1, new SamplingScratch(3));
    expect(sampler.sample(logits, 3).token).toBe(2);
  });

  test('repeats itself for the same seed', () => {
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

  test('reports the most probable tokens of the raw logits, whatever it draws from', () => {
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

describe('top selection', () => {
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

describe('the generator', () => {
  test('is uniform, and neighbouring seeds have nothing in common', () => {
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
