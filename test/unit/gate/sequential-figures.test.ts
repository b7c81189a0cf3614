/** The sequential test behind a canary, step by step. `sequential-test.test.ts` measures its error rates. */

import { describe, expect, it } from 'vitest';
import {
  decide,
  evidence,
  isSequentialState,
  nothingObserved,
  observe,
  type SequentialState,
} from '../../../src/gate/sequential-test.js';

const settings = { alpha: 0.05, margin: 0.25, minimum: 20 };
const stakes = [0.9, 0.45, 0.225, 0.1125, 0.05625, 0.028125, 0.0140625, 0.00703125];
const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

type Reward = readonly ['live' | 'candidate', number];
const play = (...rewards: readonly Reward[]): SequentialState =>
  rewards.reduce((state, [arm, reward]) => observe(state, arm, reward, settings), nothingObserved);

describe('a pair of rewards', () => {
  it('multiplies the capital of each stake by what it wins or loses', () => {
    const state = play(['candidate', 0.75], ['live', 0.25], ['live', 1], ['candidate', 0]);
    // The differences are 0.5 and -1.
    const worse = stakes.map((stake) => (1 - 0.5 * stake) * (1 + stake));
    const notWorse = stakes.map((stake) => (1 + 0.75 * stake) * (1 - 0.75 * stake));
    expect(state.pairs).toBe(2);
    expect(evidence(state).worse).toBeCloseTo(Math.log(meanOf(worse)), 12);
    expect(evidence(state).notWorse).toBeCloseTo(Math.log(meanOf(notWorse)), 12);
  });

  it('takes the mean of the rewards that waited', () => {
    const state = play(['live', 0.25], ['live', 0.75], ['candidate', 1]);
    expect(evidence(state)).toEqual(evidence(play(['candidate', 1], ['live', 0.5])));
    expect(state.live).toEqual({ count: 2, sum: 1, waiting: 0, waitingSum: 0 });
    expect(state.candidate).toEqual({ count: 1, sum: 1, waiting: 0, waitingSum: 0 });
    const turned = play(['candidate', 0.25], ['candidate', 0.75], ['live', 1]);
    expect(evidence(turned)).toEqual(evidence(play(['live', 1], ['candidate', 0.5])));
  });

  it('needs a reward of both arms', () => {
    for (const arm of ['live', 'candidate'] as const) {
      const state = play([arm, 0.5], [arm, 0.25]);
      expect(state).toMatchObject({ pairs: 0, [arm]: { count: 2, sum: 0.75, waiting: 2, waitingSum: 0.75 } });
      expect(evidence(state)).toEqual({ worse: 0, notWorse: 0 });
    }
  });

  it('clamps rewards to the range from 0 to 1', () => {
    expect(play(['live', 7], ['candidate', -3])).toEqual(play(['live', 1], ['candidate', 0]));
  });
});

describe('the decision', () => {
  const enough = -Math.log(settings.alpha);
  const state = (worse: number, notWorse: number, count: number): SequentialState => ({
    ...nothingObserved,
    candidate: { ...nothingObserved.candidate, count },
    worse: stakes.map(() => worse),
    notWorse: stakes.map(() => notWorse),
  });

  it('is "worse" when that evidence reaches the bound, after any number of rewards', () => {
    expect(decide(state(enough, 0, 1), settings)).toBe('worse');
    expect(decide(state(enough - 1e-9, 0, 1), settings)).toBeNull();
    expect(decide(state(enough, 2 * enough, 20), settings)).toBe('worse');
  });

  it('is "not worse" when that evidence reaches the bound, after the least number of rewards', () => {
    expect(decide(state(0, enough, 20), settings)).toBe('not_worse');
    expect(decide(state(0, enough, 19), settings)).toBeNull();
    expect(decide(state(0, enough - 1e-9, 20), settings)).toBeNull();
  });

  it('weighs capitals that are too large or too small for a number', () => {
    expect(evidence(state(2000, -2000, 0))).toEqual({ worse: 2000, notWorse: -2000 });
    const one = { ...nothingObserved, worse: [1000, ...stakes.slice(1).map(() => -1000)] };
    expect(evidence(one).worse).toBeCloseTo(1000 - Math.log(8), 9);
  });
});

describe('the check of a state from a file', () => {
  it('accepts each state of the test', () => {
    for (const state of [nothingObserved, play(['live', 0.5], ['candidate', 1])]) {
      expect(isSequentialState(JSON.parse(JSON.stringify(state)))).toBe(true);
    }
  });

  const damaged: readonly [string, unknown][] = [
    ['no object', null],
    ['an arm that is missing', { ...nothingObserved, live: undefined }],
    ['an arm without a sum', { ...nothingObserved, candidate: { count: 0, waiting: 0, waitingSum: 0 } }],
    ['pairs that are no number', { ...nothingObserved, pairs: 'two' }],
    ['a count that is null', { ...nothingObserved, live: { ...nothingObserved.live, count: null } }],
    ['capitals that are missing', { ...nothingObserved, notWorse: undefined }],
    ['capitals that are no list', { ...nothingObserved, worse: { length: 8 } }],
    ['capitals for too few stakes', { ...nothingObserved, worse: stakes.slice(1) }],
    ['a capital that is null', { ...nothingObserved, notWorse: [...stakes.slice(1), null] }],
  ];
  it.each(damaged)('refuses %s', (_, value) => {
    expect(isSequentialState(value)).toBe(false);
  });
});
