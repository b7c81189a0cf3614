import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Members } from '../../../../src/learner/experience/members.js';
import {
  figuresOf,
  type GuardBounds,
  judgeSteps,
  type StepFigures,
  spreadOf,
} from '../../../../src/learner/round/guard.js';
import { Setbacks } from '../../../../src/learner/round/setbacks.js';
import { settings } from '../../../support/learner/experience.js';

const bounds: GuardBounds = {
  guardMaxKl: 10,
  guardMaxMove: 3,
  guardMaxPushDown: 1,
  guardMaxDropped: 5,
  beta: 0.05,
};

/** Values around a mean, spread like those of real completions: by about the mean, and by at least one nat. */
function around(mean: number, count = 32): number[] {
  const width = Math.max(1, Math.abs(mean));
  return Array.from({ length: count }, (_, i) => mean + width * Math.sin(i * 2.399));
}

function step(means: { kl?: number; moved?: number; pushedDown?: number }, over: Partial<StepFigures> = {}) {
  const spread = (mean: number | undefined) => (mean === undefined ? null : spreadOf(around(mean)));
  const figures = { kl: spread(means.kl), moved: spread(means.moved), pushedDown: spread(means.pushedDown) };
  return { first: false, applied: true, finite: true, ...figures, ...over };
}

const first = (means: Parameters<typeof step>[0] = {}) => step({ kl: 0, moved: 0, ...means }, { first: true });
const check = (steps: readonly StepFigures[]) => judgeSteps(steps, bounds)?.check ?? null;

test('a healthy round and one that is merely fast are in bounds', () => {
  expect(check([first({ kl: 0.6 }), step({ kl: 0.6, moved: 0.1, pushedDown: -0.4 })])).toBeNull();
  // These figures were measured at ten times the usual learning rate, with rewards still rising.
  expect(check([first({ kl: 3.3 }), step({ kl: 3.3, moved: 3.3 }), step({ kl: 3.3, moved: 2.7 })])).toBeNull();
});

test('a round that takes the probability from what the policy used to write is out of bounds', () => {
  expect(check([first(), step({ moved: 0.6 }), step({ moved: 7.2 }), step({ moved: 6.6 })])).toBe('moved');
});

test('weights that were ahead of the live version when the round began are judged by what the round did', () => {
  expect(check([first({ moved: 5 }), step({ moved: 5.3 }), step({ moved: 5.4 })])).toBeNull();
  expect(check([first({ moved: 40 }), step({ moved: 40 }), step({ moved: 41 })])).toBe('far');
});

test('the guard reports a live version that is itself beyond the bound', () => {
  const breach = judgeSteps([first({ kl: 186 }), step({ kl: 186, moved: 0.1 })], bounds);
  expect(breach).toMatchObject({ check: 'live', numbers: { bound: 10, completions: 64 } });
  expect(breach?.message).toContain('hone rollback');
});

test('completions that are pushed down past any optimum are out of bounds, for every beta', () => {
  const steps = [first(), step({ pushedDown: -30 }), step({ pushedDown: -30 })];
  expect(check(steps)).toBe('pushed_down');
  expect(judgeSteps(steps, { ...bounds, beta: 0.01 })).toBeNull();
});

test('five dropped steps in a row end a round, four do not, and an applied step resets the count', () => {
  const dropped = step({}, { applied: false });
  expect(check([dropped, dropped, dropped, dropped])).toBeNull();
  expect(check([dropped, dropped, dropped, dropped, first(), dropped])).toBeNull();
  expect(check([first(), dropped, dropped, dropped, dropped, dropped])).toBe('dropped');
});

test('weights that are not finite numbers are out of bounds at once', () => {
  expect(check([step({}, { finite: false })])).toBe('weights');
});

test('the guard decides nothing on a few completions, or on a difference that may be chance', () => {
  const few = { ...step({}), kl: spreadOf(around(500, 8)) };
  expect(check([few])).toBeNull();
  const wild = { ...step({}), kl: spreadOf([...around(0, 63), 1000]) };
  expect(check([wild])).toBeNull();
});

test('the figures of many steps are those of all their values together', () => {
  const values = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.array(values, { minLength: 64, maxLength: 80 }), (parts) => {
      const steps = parts.map((values) => step({}, { kl: spreadOf(values) }));
      const from = parts.findLastIndex((_, i) => parts.slice(i).flat().length >= 64);
      const values = parts.slice(from).flat();
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const breach = judgeSteps(steps, { ...bounds, guardMaxKl: -1e9 });
      expect(breach?.numbers.completions).toBe(values.length);
      expect(breach?.numbers.kl_nats).toBeCloseTo(mean, 6);
    }),
  );
});

test('a round that ends in bounds resets the count of setbacks in a row, and so does a person who lets the learner go on', () => {
  const setbacks = new Setbacks(settings({ guardMaxSetbacks: 2 }));
  const breach = { check: 'moved', message: 'too far', numbers: {} } as const;
  setbacks.add(breach);
  expect(setbacks.haltedBecause).toBeNull();
  setbacks.roundEnded();
  setbacks.add(breach);
  expect(setbacks.haltedBecause).toBeNull();
  setbacks.add(breach);
  expect(setbacks.haltedBecause).toBe('too far');
  const restored = new Setbacks(settings({ guardMaxSetbacks: 2 }), setbacks.state());
  expect(restored.haltedBecause).toBe('too far');
  restored.goOn();
  expect(restored).toMatchObject({ haltedBecause: null, inARow: 0, total: 3 });
});

test('completions that are pushed down are measured in the unit of the objective, divergences in nats per completion', () => {
  const { groups, entries } = buildMembers();
  const members = [...entries.values()];
  const figures = (logProbability: 'sum' | 'mean') =>
    figuresOf(
      { members, logprobs: [-3, -3], weights: [-1, 1], applied: true },
      'live',
      new Map(),
      false,
      settings({ logProbability }),
    );
  expect(groups.size).toBe(1);
  expect(figures('sum')).toMatchObject({ pushedDown: { count: 1, mean: -1 }, kl: { count: 1, mean: -6 } });
  expect(figures('mean')).toMatchObject({ pushedDown: { count: 1, mean: -1 }, kl: { count: 1, mean: 0 } });
});

/** Two completions of four tokens, one by the live version; ln mu is -8, and ln pi_ref -2, as a sum or a mean over tokens. */
function buildMembers(): Members {
  const members = new Members();
  for (const [i, adapterDigest] of ['live', 'of another server'].entries()) {
    const completionTokens = Uint32Array.of(i, 1, 2, 3);
    const shared = {
      groupKey: 'g',
      kind: 'scores',
      promptTokens: Uint32Array.of(1),
      createdAtMs: 0,
      sequence: i,
    } as const;
    members.put({
      id: `${i}`,
      ...shared,
      completionTokens,
      reward: i,
      version: 5,
      adapterDigest,
      behaviourLogprob: -8,
    });
  }
  for (const member of members.entries.values()) member.reference = { digest: 'reference', logprob: -2 };
  return members;
}
