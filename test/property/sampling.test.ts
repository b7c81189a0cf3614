/**
 * Compares the sampler with a plain reference in two ways. Exactly: the probability of a drawn token equals the
 * reference's to 1e-9. A probability depends on the sum over all kept tokens, so this also proves the set of kept tokens.
 * Statistically: tokens are drawn as often as the reference predicts. The statistical tests have fixed seeds, so that
 * their results do not vary. For a correct sampler the probability that one of the seeds fails is below 1e-5.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { completionSeed } from '../../src/agent/generation/check-request.js';
import type { SamplingSettings } from '../../src/policy/completion-request.js';
import { Sampler, SamplingScratch } from '../../src/policy/sampling/sampler.js';
import { plainSampling } from '../support/policy/policy.js';
import { chiSquareDeviate, referenceDistribution, softmax } from '../support/reference-sampling.js';

const vocabulary = 24;

/** Off in half of the cases, so that every combination occurs. */
const maybe = (off: number, on: fc.Arbitrary<number>) => fc.oneof(fc.constant(off), on);
const between = (min: number, max: number) => fc.double({ min, max, noNaN: true, noDefaultInfinity: true });

/**
 * Logits in steps of 1/64, so that two are equal or clearly different. Logits that differ only in the last bit have equal
 * probability and could be ranked either way.
 */
const steps = (min: number, max: number) => fc.integer({ min: min * 64, max: max * 64 }).map((value) => value / 64);

const settings: fc.Arbitrary<SamplingSettings> = fc
  .record({
    temperature: fc.oneof(fc.constant(1), between(0.05, 3)),
    topK: maybe(0, fc.integer({ min: 1, max: vocabulary + 3 })),
    topP: maybe(1, between(0.01, 0.999)),
    minP: maybe(0, between(0.001, 0.9)),
    repetitionPenalty: maybe(1, steps(0.25, 3)),
    presencePenalty: maybe(0, steps(-2, 2)),
    frequencyPenalty: maybe(0, steps(-2, 2)),
    logitBias: fc.dictionary(fc.integer({ min: 0, max: vocabulary - 1 }).map(String), steps(-100, 100), {
      maxKeys: 3,
    }),
  })
  .map((changes) => ({ ...plainSampling, ...changes }));

const logitsOf = (value: fc.Arbitrary<number>) =>
  fc.array(value, { minLength: vocabulary, maxLength: vocabulary }).map((values) => Float32Array.from(values));
const logits = fc.oneof(
  logitsOf(steps(-4, 4)),
  // Equal logits.
  logitsOf(fc.integer({ min: -1, max: 1 })),
  // Extreme logits: one far above all others, masked ones, huge ones.
  logitsOf(steps(-1e4, 1e4)),
  logitsOf(fc.oneof(steps(-2, 2), fc.constantFrom(Number.NEGATIVE_INFINITY, 3e38, -3e38))).filter((values) =>
    values.some((value) => value > -1e30),
  ),
);
const token = fc.integer({ min: 0, max: vocabulary - 1 });

/** If a sum equals top-p up to the last bit, rounding decides where it is cut, so such cases are skipped. */
function onTheEdge(values: Float32Array, asked: SamplingSettings, prompt: readonly number[], completion: number[]) {
  const before = referenceDistribution(values, { ...asked, topP: 1, minP: 0 }, prompt, completion);
  const ranked = [...before].sort((a, b) => b - a);
  const sums = ranked.map((_, i) => ranked.slice(0, i + 1).reduce((sum, p) => sum + p, 0));
  const nearTopP = sums.some((sum) => Math.abs(sum - asked.topP) < 1e-9);
  const nearMinP = ranked.some((p) => p > 0 && Math.abs(p / (ranked[0] as number) - asked.minP) < 1e-9);
  return (asked.topP < 1 && nearTopP) || (asked.minP > 0 && nearMinP);
}

describe('the sampler compared exactly', () => {
  test('every drawn token has the probability of the reference, for all settings', () => {
    const scratch = new SamplingScratch(vocabulary);
    fc.assert(
      fc.property(logits, settings, fc.array(token, { maxLength: 4 }), fc.nat(), (values, asked, prompt, seed) => {
        const sampler = new Sampler(asked, prompt, seed, scratch);
        const raw = softmax([...values]);
        const completion: number[] = [];
        for (let step = 0; step < 6; step++) {
          const expected = referenceDistribution(values, asked, prompt, completion);
          const edge = onTheEdge(values, asked, prompt, completion);
          const drawn = sampler.sample(values, 0);
          completion.push(drawn.token);
          if (edge) continue;
          const probability = expected[drawn.token] as number;
          expect(probability).toBeGreaterThan(0);
          expect(Math.abs(drawn.sampledLogprob - Math.log(probability))).toBeLessThan(1e-9);
          const logprob = Math.log(raw[drawn.token] as number);
          // Smaller probabilities have fewer digits than their logarithms.
          if (logprob > -690) expect(Math.abs(drawn.logprob - logprob)).toBeLessThan(1e-9);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('temperature 0 takes the first of the largest logits, after bias and penalties', () => {
    fc.assert(
      fc.property(logits, settings, fc.array(token, { maxLength: 4 }), (values, asked, prompt) => {
        const greedy = { ...asked, temperature: 0 };
        const sampler = new Sampler(greedy, prompt, 1, new SamplingScratch(vocabulary));
        const completion: number[] = [];
        for (let step = 0; step < 4; step++) {
          const expected = referenceDistribution(values, greedy, prompt, completion).indexOf(1);
          const drawn = sampler.sample(values, 0);
          expect(drawn).toMatchObject({ token: expected, sampledLogprob: 0 });
          completion.push(drawn.token);
        }
      }),
    );
  });
});

describe('the sampler compared statistically', () => {
  const draws = 3000;
  const cases = fc.sample(fc.tuple(logitsOf(steps(-2.5, 2.5)), settings, fc.array(token, { maxLength: 4 })), {
    seed: 20,
    numRuns: 60,
  });

  test('tokens are drawn as often as the reference predicts, for sixty settings', () => {
    const scratch = new SamplingScratch(vocabulary);
    const deviates: number[] = [];
    for (const [i, [values, asked, prompt]] of cases.entries()) {
      const counts = new Array<number>(vocabulary).fill(0);
      for (let draw = 0; draw < draws; draw++) {
        const drawn = new Sampler(asked, prompt, draw + i * draws, scratch).sample(values, 0).token;
        counts[drawn] = (counts[drawn] as number) + 1;
      }
      deviates.push(chiSquareDeviate(counts, referenceDistribution(values, asked, prompt, [])));
    }
    // 60 one-sided tests at 5.2 standard deviations fail by chance with probability 6e-6.
    expect(Math.max(...deviates)).toBeLessThan(5.2);
    // Small errors that no single case shows would shift the mean of all.
    const mean = deviates.reduce((sum, deviate) => sum + deviate, 0) / deviates.length;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(deviates.length));
  });

  test('successive draws of one sampler are independent', () => {
    const size = 6;
    const values = Float32Array.of(1, 0.5, 0, -0.5, 0.2, 0.8);
    const sampler = new Sampler(plainSampling, [], 11, new SamplingScratch(size));
    const single = softmax([...values]);
    const pairs = new Array<number>(size * size).fill(0);
    let previous = sampler.sample(values, 0).token;
    for (let draw = 0; draw < 20_000; draw++) {
      const next = sampler.sample(values, 0).token;
      pairs[previous * size + next] = (pairs[previous * size + next] as number) + 1;
      previous = next;
    }
    const expected = single.flatMap((first) => single.map((second) => first * second));
    expect(chiSquareDeviate(pairs, expected)).toBeLessThan(5);
  });

  test('the completions of one seed are independent of each other', () => {
    const size = 6;
    const values = Float32Array.of(1, 0.5, 0, -0.5, 0.2, 0.8);
    const scratch = new SamplingScratch(size);
    const single = softmax([...values]);
    const pairs = new Array<number>(size * size).fill(0);
    for (let seed = 0; seed < 20_000; seed++) {
      const [first, second] = [0, 1].map(
        (completion) =>
          new Sampler(plainSampling, [], completionSeed(seed, completion), scratch).sample(values, 0).token,
      ) as [number, number];
      pairs[first * size + second] = (pairs[first * size + second] as number) + 1;
    }
    expect(
      chiSquareDeviate(
        pairs,
        single.flatMap((a) => single.map((b) => a * b)),
      ),
    ).toBeLessThan(5);
  });
});
