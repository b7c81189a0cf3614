/** Measures the error rates of the sequential test, on simulated canaries whose truth is known. */

import { describe, expect, it, test } from 'vitest';
import {
  type Arm,
  decide,
  evidence,
  isSequentialState,
  nothingObserved,
  observe,
  type SequentialDecision,
  type SequentialSettings,
} from '../../../src/gate/sequential-test.js';
import { createRandom } from '../../../src/learner/random.js';

const settings: SequentialSettings = { alpha: 0.05, margin: 0.05, minimum: 20 };
type Draw = (random: () => number) => number;

const bernoulli =
  (mean: number): Draw =>
  (random) =>
    random() < mean ? 1 : 0;
const uniform =
  (mean: number): Draw =>
  (random) =>
    mean + (random() - 0.5) * 0.6;
/** Rewards with this mean, of which most are small and few are large. */
const skewed =
  (mean: number): Draw =>
  (random) =>
    random() < 0.05 ? 1 : (random() * 2 * (mean - 0.05)) / 0.95;

interface Played {
  readonly decision: SequentialDecision;
  readonly rewards: number;
}

/** Simulates one canary, evaluated after every reward. */
function play(seed: number, live: Draw, candidate: Draw, share: number, most: number, over = settings): Played {
  const random = createRandom(seed);
  let state = nothingObserved;
  for (let n = 1; n <= most; n++) {
    const arm: Arm = random() < share ? 'candidate' : 'live';
    state = observe(state, arm, (arm === 'live' ? live : candidate)(random), over);
    const decision = decide(state, over);
    if (decision !== null) return { decision, rewards: n };
  }
  return { decision: null, rewards: most };
}

function rateOf(wrong: SequentialDecision, runs: number, playOne: (seed: number) => Played): number {
  let count = 0;
  for (let seed = 1; seed <= runs; seed++) if (playOne(seed).decision === wrong) count += 1;
  return count / runs;
}

const shapes = [
  { rewards: 'half of them 1', shape: bernoulli, mean: 0.5 },
  { rewards: 'few of them 1', shape: bernoulli, mean: 0.1 },
  { rewards: 'uniform', shape: uniform, mean: 0.5 },
  { rewards: 'skewed', shape: skewed, mean: 0.2 },
] as const;

/** Three standard errors above alpha: 300 runs with an error rate of exactly 0.05 stay below it. */
const runs = 300;
const bound = 0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs);

describe.each([0.1, 0.5, 0.9])(
  'the sequential test with a share of %f for the candidate, evaluated after every reward',
  (share) => {
    test.each(shapes)(
      'rolls back an equally good candidate in at most one of twenty canaries: rewards $rewards',
      ({ shape, mean }) => {
        const only: SequentialSettings = { ...settings, minimum: Number.POSITIVE_INFINITY };
        expect(rateOf('worse', runs, (seed) => play(seed, shape(mean), shape(mean), share, 1200, only))).toBeLessThan(
          bound,
        );
      },
    );

    test.each(shapes)(
      'promotes a candidate that is worse by the margin in at most one of twenty canaries: rewards $rewards',
      ({ shape, mean }) => {
        // The minimum is off here, because it would hide errors.
        const only: SequentialSettings = { ...settings, minimum: 1 };
        const worse = shape(mean - settings.margin);
        expect(rateOf('not_worse', runs, (seed) => play(seed, shape(mean), worse, share, 1200, only))).toBeLessThan(
          bound,
        );
      },
    );
  },
);

it('a t-test that is repeated after every reward rolls back a fifth of equally good candidates', () => {
  const repeated = (seed: number): Played => {
    const random = createRandom(seed);
    const arms = { live: { n: 0, sum: 0, squares: 0 }, candidate: { n: 0, sum: 0, squares: 0 } };
    for (let rewards = 1; rewards <= 1200; rewards++) {
      const arm = arms[random() < 0.5 ? 'candidate' : 'live'];
      const reward = bernoulli(0.5)(random);
      arm.n += 1;
      arm.sum += reward;
      arm.squares += reward ** 2;
      if (arms.live.n < 20 || arms.candidate.n < 20) continue;
      const [live, candidate] = [arms.live, arms.candidate].map(({ n, sum, squares }) => {
        const mean = sum / n;
        return { mean, error: (squares / n - mean ** 2) / n };
      }) as [{ mean: number; error: number }, { mean: number; error: number }];
      // One-sided, 5 %.
      const t = (candidate.mean - live.mean) / Math.sqrt(live.error + candidate.error);
      if (t < -1.645) return { decision: 'worse', rewards };
    }
    return { decision: null, rewards: 1200 };
  };
  expect(rateOf('worse', runs, repeated)).toBeGreaterThan(0.2);
});

describe('the power of the sequential test', () => {
  const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
  const played = (live: number, candidate: number, most: number) =>
    Array.from({ length: 100 }, (_, seed) => play(seed + 1, bernoulli(live), bernoulli(candidate), 0.1, most));

  it('rolls back a bad candidate within some hundred rewards, a tenth of them its own', () => {
    const canaries = played(0.6, 0.1, 4000);
    expect(canaries.filter(({ decision }) => decision === 'worse').length).toBeGreaterThanOrEqual(99);
    expect(median(canaries.map(({ rewards }) => rewards))).toBeLessThan(250);
  });

  it('promotes a candidate that is better by a tenth, and nearly always an equally good one, given time', () => {
    const better = played(0.5, 0.6, 20_000);
    expect(better.filter(({ decision }) => decision === 'not_worse').length).toBeGreaterThanOrEqual(98);
    expect(median(better.map(({ rewards }) => rewards))).toBeLessThan(4000);
    const asGood = played(0.5, 0.5, 40_000);
    expect(asGood.filter(({ decision }) => decision === 'not_worse').length).toBeGreaterThanOrEqual(90);
  });
});

it('the sequential test keeps its error rate on a day that gets harder for both arms, and with a flood of one arm', () => {
  let wrong = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const random = createRandom(seed);
    let state = nothingObserved;
    for (let n = 0; n < 2000; n++) {
      const mean = 0.9 - (0.8 * n) / 2000;
      // The candidate's share falls while rewards fall, so a comparison of the two means would favour the candidate.
      const arm: Arm = random() < 0.5 - (0.45 * n) / 2000 ? 'candidate' : 'live';
      state = observe(state, arm, bernoulli(arm === 'live' ? mean : mean - settings.margin)(random), settings);
      if (decide(state, settings) === 'not_worse') {
        wrong += 1;
        break;
      }
    }
  }
  expect(wrong / 200).toBeLessThan(0.05 + 3 * Math.sqrt((0.05 * 0.95) / 200));
});

it('the sequential test waits for the minimum of rewards before it promotes, but not before it rolls back', () => {
  const strict = { ...settings, minimum: 50 };
  let good = nothingObserved;
  let bad = nothingObserved;
  for (let n = 0; n < 49; n++) {
    good = observe(observe(good, 'live', 0, strict), 'candidate', 1, strict);
    bad = observe(observe(bad, 'live', 1, strict), 'candidate', 0, strict);
  }
  expect(evidence(good).notWorse).toBeGreaterThan(-Math.log(strict.alpha));
  expect(decide(good, strict)).toBeNull();
  expect(decide(observe(observe(good, 'live', 0, strict), 'candidate', 1, strict), strict)).toBe('not_worse');
  expect(decide(bad, strict)).toBe('worse');
});

it('the sequential test continues from its JSON without a difference, and recognises JSON that is not its state', () => {
  const random = createRandom(3);
  let state = nothingObserved;
  for (let n = 0; n < 100; n++) state = observe(state, random() < 0.3 ? 'candidate' : 'live', random(), settings);
  const restored: unknown = JSON.parse(JSON.stringify(state));
  expect(restored).toEqual(state);
  expect(isSequentialState(restored)).toBe(true);
  for (const wrong of [null, 7, {}, { ...state, worse: [1] }, { ...state, live: {} }, { ...state, pairs: 'x' }]) {
    expect(isSequentialState(wrong)).toBe(false);
  }
});

it('the sequential test clamps rewards to [0, 1], which its error bounds require', () => {
  const one = observe(observe(nothingObserved, 'live', 0.5, settings), 'candidate', 50, settings);
  expect(one).toEqual(observe(observe(nothingObserved, 'live', 0.5, settings), 'candidate', 1, settings));
});
