/** The propositions of the paper (arXiv 2406.19185, sections 3 and 4), checked on the objective that trains. */

import { expect, it } from 'vitest';
import { weightsOf } from '../../../src/learner/linear-form.js';
import { type CopgBatch, copgForm, differentiateCopg } from '../../../src/learner/objective.js';
import type { Parameters } from '../../../src/learner/types.js';
import { relativeError } from '../../oracles/fixture.js';
import { BanditEngine } from '../../support/learner/bandit-engine.js';

const arms = [0, 1, 2];
const beta = 0.5;
const rewards = [2.5, 2, 1];
const engine = new BanditEngine(2);
const parameters: Parameters = new Map([
  ['bandit.lora_A', { dims: [1, 2], data: Float32Array.of(0.7, -0.4) }],
  ['bandit.lora_B', { dims: [2, 3], data: Float32Array.of(0.3, -0.2, 0.1, -0.5, 0.4, 0.2) }],
]);
/** The reference is not uniform, so h is not the log-probability up to a constant. */
const referenceLogprobs = [0.5, 0.2, 0.3].map(Math.log);

function batchOf(chosen: readonly number[], groups: readonly number[], scores = rewards): CopgBatch {
  return {
    rows: chosen.map((arm) => ({ promptTokens: [0], completionTokens: [arm] })),
    groups,
    rewards: chosen.map((arm) => scores[arm] as number),
    referenceLogprobs: chosen.map((arm) => referenceLogprobs[arm] as number),
    values: chosen.map(() => 0),
    beta,
  };
}

/** The gradient of a batch with one group for each list of arms. */
async function gradientOf(groups: readonly (readonly number[])[], scores = rewards): Promise<number[]> {
  const batch = batchOf(
    groups.flat(),
    groups.flatMap((members, g) => members.map(() => g)),
    scores,
  );
  return flat((await differentiateCopg(engine, batch, parameters)).gradients);
}

function flat(gradients: ReadonlyMap<string, Float32Array>): number[] {
  return [...parameters.keys()].flatMap((name) => [...(gradients.get(name) ?? [])]);
}

function h(at: Parameters): number[] {
  return engine.probabilities(at).map((p, k) => Math.log(p) - (referenceLogprobs[k] as number));
}

/** Central differences over every parameter. */
function slope(of: (at: Parameters) => number): number[] {
  return [...parameters].flatMap(([name, { dims, data }]) =>
    [...data].map((value, i) => {
      const at = (change: number): number => {
        const moved = data.slice();
        moved[i] = value + change;
        return of(new Map([...parameters, [name, { dims, data: moved }]]));
      };
      return (at(1 / 256) - at(-1 / 256)) * 128;
    }),
  );
}

function expectClose(actual: readonly number[], wanted: readonly number[]): void {
  expect(Math.hypot(...wanted)).toBeGreaterThan(0.01);
  expect(relativeError(actual, wanted)).toBeLessThan(1e-5);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const scaled = (values: readonly number[], factor: number): number[] => values.map((value) => factor * value);
const pairs = arms.flatMap((first) => arms.map((second) => [first, second] as const));

it('on-policy, the expected gradient over pairs is the policy gradient of E[R] - beta KL', async () => {
  const pi = engine.probabilities(parameters);
  const expected = new Array<number>(9).fill(0);
  for (const [first, second] of pairs) {
    // A pair of the same arm has no gradient, because its two residuals are equal.
    const gradient = first === second ? expected.map(() => 0) : await gradientOf([[first, second]]);
    for (const [i, value] of gradient.entries()) {
      expected[i] = (expected[i] as number) + (pi[first] as number) * (pi[second] as number) * value;
    }
  }
  // Descent on the surrogate is ascent on the objective. The update is the mean over a pair; the sum would be twice
  // this.
  const objective = (at: Parameters): number =>
    sum(engine.probabilities(at).map((p, k) => p * ((rewards[k] as number) - beta * (h(at)[k] as number))));
  expectClose(expected, scaled(slope(objective), -1));
});

it('weighs a pair as RLOO does, and each completion of a larger group against the mean of the others', async () => {
  const residuals = h(parameters).map((value, k) => (rewards[k] as number) - beta * value);
  const { weights: two } = await differentiateCopg(engine, batchOf([0, 2], [0, 0]), parameters);
  expect(two[0]).toBeCloseTo((residuals[0] as number) - (residuals[2] as number), 5);
  expect(two[1]).toBeCloseTo(-(two[0] as number), 5);
  const { weights } = await differentiateCopg(engine, batchOf(arms, [0, 0, 0]), parameters);
  for (const k of arms) {
    const others = arms.filter((other) => other !== k).map((other) => residuals[other] as number);
    expect(weights[k]).toBeCloseTo((residuals[k] as number) - sum(others) / 2, 5);
  }
});

it('with rewards of +1/4 and -1/4 has the gradient of the IPO loss, in both of its forms', async () => {
  // The update is the mean over the pair; the paper's sum over it is twice this.
  const gradient = scaled(await gradientOf([[0, 1]], [1 / 4, -1 / 4, 0]), 2);
  const difference = (at: Parameters): number => (h(at)[0] as number) - (h(at)[1] as number);
  const papers = slope((at) => (1 / 2 - beta * difference(at)) ** 2);
  const usual = slope((at) => (difference(at) - 1 / (2 * beta)) ** 2);
  expectClose(gradient, scaled(papers, 1 / (2 * beta)));
  expectClose(gradient, scaled(usual, beta / 2));
});

it('gives a group of K the loss and gradient of all its K(K-1)/2 pairs, with K completions', async () => {
  const all = [
    [0, 1],
    [0, 2],
    [1, 2],
  ];
  expectClose(await gradientOf([arms]), await gradientOf(all));
  const group = await differentiateCopg(engine, batchOf(arms, [0, 0, 0]), parameters);
  const each = await differentiateCopg(engine, batchOf(all.flat(), [0, 0, 1, 1, 2, 2]), parameters);
  expect(group.loss).toBeCloseTo(each.loss, 5);
  const residuals = h(parameters).map((value, k) => (rewards[k] as number) - beta * value);
  const squares = all.map(([a = 0, b = 0]) => ((residuals[a] as number) - (residuals[b] as number)) ** 2);
  expect(group.loss).toBeCloseTo(sum(squares) / 3 / (2 * beta), 5);
});

it('gives prompts the same weight, however many completions they have', async () => {
  const [many, two] = [await gradientOf([[0, 1, 2]]), await gradientOf([[0, 2]])];
  const both = await gradientOf([
    [0, 1, 2],
    [0, 2],
  ]);
  expectClose(
    both,
    many.map((value, i) => (value + (two[i] as number)) / 2),
  );
});

it('hands the engine each weight divided by the members of its group and the number of prompts', async () => {
  const batch = { ...batchOf([0, 1, 2, 0, 2, 1], [7, 7, 7, 3, 3, 9]), values: [9, 9, 9, 9, 9, 0.4] };
  const { weights, logprobs } = await differentiateCopg(engine, batch, parameters);
  const shares = weightsOf(copgForm(batch), logprobs);
  for (const [i, members] of [3, 3, 3, 2, 2, 1].entries()) {
    expect(shares[i]).toBeCloseTo((weights[i] as number) / members / 3, 6);
  }
  // The completion alone is compared with V(x), which the others do not use.
  const residual = (rewards[1] as number) - beta * (h(parameters)[1] as number);
  expect(weights[5]).toBeCloseTo(residual - 0.4, 5);
});
