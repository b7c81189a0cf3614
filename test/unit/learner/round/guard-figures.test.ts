/** The exact figures and bounds of the guard: each threshold from both sides, and each reported number. */

import { describe, expect, it } from 'vitest';
import type { Member } from '../../../../src/learner/experience/members.js';
import { figuresOf, judgeSteps, type StepFigures, spreadOf } from '../../../../src/learner/round/guard.js';
import { settings } from '../../../support/learner/experience.js';

const bounds = { guardMaxKl: 10, guardMaxMove: 3, guardMaxPushDown: 1, guardMaxDropped: 5, beta: 0.05 };

/** Values one above and one below the mean, in turn. */
const around = (mean: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => mean + (i % 2 === 0 ? 1 : -1));

type Values = Partial<Record<'kl' | 'moved' | 'pushedDown', readonly number[]>>;

function step({ kl = [], moved = [], pushedDown = [] }: Values, first = false): StepFigures {
  const figures = { kl: spreadOf(kl), moved: spreadOf(moved), pushedDown: spreadOf(pushedDown) };
  return { first, applied: true, finite: true, ...figures };
}

const check = (...steps: readonly StepFigures[]) => judgeSteps(steps, bounds)?.check ?? null;

describe('the spread of values', () => {
  it('leaves out values that are not finite', () => {
    expect(spreadOf([1, Number.NaN, 3, Number.POSITIVE_INFINITY])).toEqual({ count: 2, mean: 2, squares: 2 });
    expect(spreadOf([Number.NaN])).toBeNull();
  });
});

describe('the guard', () => {
  it('accepts a round without steps', () => {
    expect(check()).toBeNull();
  });

  it('accepts a mean that equals its bound', () => {
    expect(check(step({ kl: Array(64).fill(10) }))).toBeNull();
    expect(check(step({ moved: Array(4).fill(0) }, true), step({ moved: Array(64).fill(3) }))).toBeNull();
  });

  it('needs 16 completions for a mean', () => {
    expect(check(step({ kl: around(50, 15) }))).toBeNull();
    expect(check(step({ kl: around(50, 16) }))).toBe('live');
  });

  it('needs 4 completions in the step that begins a round', () => {
    expect(check(step({ moved: around(0, 3) }, true), step({ moved: around(8, 64) }))).toBeNull();
    expect(check(step({ moved: around(0, 4) }, true), step({ moved: around(8, 64) }))).toBe('moved');
  });

  it('judges the move of a round without its first step', () => {
    expect(check(step({ moved: around(0, 16) }, true), step({ moved: around(40, 12) }))).toBeNull();
  });

  it('reports a move with the error of both means, and accepts one within two errors', () => {
    const first = step({ moved: around(0, 16) }, true);
    const error = Math.hypot(Math.sqrt(1 / 15), Math.sqrt(1 / 63));
    const breach = judgeSteps([first, step({ moved: around(5, 64) })], bounds);
    expect(breach?.numbers).toEqual({
      moved_nats: expect.closeTo(5, 10),
      standard_error: expect.closeTo(error, 10),
      completions: 64,
      bound: 3,
    });
    expect(breach?.message).toContain('5 nats per completion');
    expect(check(first, step({ moved: around(3 + 1.9 * error, 64) }))).toBeNull();
    expect(check(first, step({ moved: around(3 + 2.1 * error, 64) }))).toBe('moved');
  });

  it('reports weights that are far from the live version, with the error over several steps', () => {
    const parts = [around(40, 6), around(44, 20)];
    const values = parts.flat();
    const { mean, squares } = spreadOf(values) ?? { mean: 0, squares: 0 };
    const breach = judgeSteps(
      parts.map((moved) => step({ moved })),
      bounds,
    );
    expect(breach?.check).toBe('far');
    expect(breach?.numbers).toEqual({
      moved_nats: expect.closeTo(mean, 10),
      standard_error: expect.closeTo(Math.sqrt(squares / 25 / 26), 10),
      completions: 26,
      bound: 10,
    });
  });

  it('reports completions that were pushed down, with a negative bound', () => {
    expect(judgeSteps([step({ pushedDown: around(-30, 32) })], bounds)).toMatchObject({
      check: 'pushed_down',
      numbers: { below_mean_h_nats: expect.closeTo(-30, 10), completions: 32, bound: -20 },
    });
  });

  it('reports the number of dropped steps', () => {
    const dropped = { ...step({}), applied: false };
    expect(judgeSteps(Array(6).fill(dropped), bounds)).toMatchObject({
      check: 'dropped',
      numbers: { dropped_steps: 6 },
    });
  });
});

describe('the figures of a step', () => {
  /** A completion of four tokens with ln pi_ref = -2. */
  const member = (adapterDigest: string, behaviourLogprob: number | null): Member => ({
    group: { key: 'g', kind: 'scores', promptTokens: Uint32Array.of(1), members: new Map(), sequence: 0 },
    completionTokens: Uint32Array.of(1, 2, 3, 4),
    rewards: new Map(),
    reward: 0,
    version: 1,
    adapterDigest,
    behaviourLogprob,
    createdAtMs: 0,
    uses: 0,
    reference: { digest: 'reference', logprob: -2 },
  });

  interface Given {
    readonly weights?: readonly number[];
    readonly logProbability?: 'sum' | 'mean';
    readonly weight?: number;
  }

  /** Of a completion of the live version, of one without ln mu, and of one by another version. */
  function figures({ weights = [-1, 0, 1], logProbability = 'sum', weight = 1 }: Given): StepFigures {
    const members = [member('live', -8), member('live', null), member('other', -6)];
    const parameters = new Map([['w', { dims: [2], data: Float32Array.of(1, weight) }]]);
    const report = { members, logprobs: [-3, -5, -7], weights, applied: true };
    return figuresOf(report, 'live', parameters, false, settings({ logProbability }));
  }

  it('measure the move on completions that the live version wrote', () => {
    expect(figures({})).toMatchObject({ moved: { count: 1, mean: -5 }, kl: { count: 1, mean: -6 } });
    expect(figures({ logProbability: 'mean' })).toMatchObject({ moved: { count: 1, mean: 4 } });
  });

  it('include h of the completions with a negative weight, and of no others', () => {
    expect(figures({ weights: [-1, 0, -1] }).pushedDown).toMatchObject({ count: 2, mean: -3 });
    expect(figures({ weights: [0, 0, 1] }).pushedDown).toBeNull();
  });

  it('are marked if one weight is not finite', () => {
    expect(figures({}).finite).toBe(true);
    expect(figures({ weight: Number.NaN }).finite).toBe(false);
    expect(figures({ weight: Number.NEGATIVE_INFINITY }).finite).toBe(false);
  });
});
