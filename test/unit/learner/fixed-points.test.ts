/**
 * Where the objective comes to rest off-policy, for each baseline that a completion alone may be compared with: only a
 * value of the REGULARISED reward, per prompt, leads to the optimum. Gradients are exact. The bandit is the paper's
 * (arXiv 2406.19185, section 4), with completions drawn from the mean of its two data policies.
 */

import { expect, it } from 'vitest';
import { weightsOf } from '../../../src/learner/linear-form.js';
import { copgForm } from '../../../src/learner/objective.js';

const beta = 0.5;
/** ln of the uniform reference over three arms. */
const uniform = -Math.log(3);
/** Number of draws of each arm: (0.075, 0.125, 0.8) of all. */
const draws = [3, 5, 32];

/** R of each arm, by prompt. */
type Rewards = readonly (readonly number[])[];
/** What a baseline may depend on, for the prompt of one completion. */
interface Known {
  readonly prompt: number;
  readonly pi: Rewards;
  /** R_beta of each arm, by prompt. */
  readonly residuals: Rewards;
  readonly rewards: Rewards;
}
type Baseline = (known: Known) => number;

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => s + x * (b[i] as number), 0);
const mu = draws.map((count) => count / 40);
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function objective(pi: readonly number[], rewards: readonly number[]): number {
  return dot(
    pi,
    pi.map((p, k) => (p === 0 ? 0 : (rewards[k] as number) - beta * (Math.log(p) - uniform))),
  );
}

/** beta ln Z: the objective at its optimum, which is also R_beta of every arm there. */
function optimum(rewards: readonly number[]): number {
  return beta * Math.log(mean(rewards.map((reward) => Math.exp(reward / beta))));
}

/** The mean over prompts of J(pi*) - J(pi) after descent over all draws; each prompt and arm has a free logit. */
function restingRegret(rewards: Rewards, baseline: Baseline | 'siblings', steps = 4000, rate = 1): number {
  const logits = rewards.map(() => [0, 0, 0]);
  const cells = rewards.flatMap((_, prompt) =>
    draws.flatMap((count, arm) => Array.from({ length: count }, () => ({ prompt, arm }))),
  );
  const alone = baseline !== 'siblings';
  const groups = cells.map(({ prompt }, i) => (alone ? i : prompt));
  for (let step = 0; step < steps; step++) {
    const pi = logits.map(softmax);
    const logprobs = Float32Array.from(cells, ({ prompt, arm }) => Math.log(pi[prompt]?.[arm] as number));
    const residuals = rewards.map((of, p) => of.map((r, k) => r - beta * (Math.log(pi[p]?.[k] as number) - uniform)));
    const batch = {
      groups,
      values: cells.map(({ prompt }) => (alone ? baseline({ prompt, pi, residuals, rewards }) : 0)),
      rewards: cells.map(({ prompt, arm }) => rewards[prompt]?.[arm] as number),
      referenceLogprobs: cells.map(() => uniform),
      beta,
    };
    const weights = weightsOf(copgForm(batch), logprobs);
    for (const [i, { prompt, arm }] of cells.entries()) {
      const push = rate * rewards.length * (weights[i] as number);
      for (const k of [0, 1, 2]) {
        const row = logits[prompt] as number[];
        row[k] = (row[k] as number) + push * ((k === arm ? 1 : 0) - (pi[prompt]?.[k] as number));
      }
    }
  }
  return mean(rewards.map((of, p) => optimum(of) - objective(softmax(logits[p] as number[]), of)));
}

const arms: Rewards = [[2.5, 2, 1]];
const best = optimum([2.5, 2, 1]);

it.each<readonly [string, Baseline | 'siblings', number]>([
  ['the siblings of the group', 'siblings', 0],
  ['the mean of R_beta over the data', ({ prompt, residuals }) => dot(mu, residuals[prompt] as number[]), 0],
  [
    'the mean of R_beta under the policy',
    ({ prompt, pi, residuals }) => dot(pi[prompt] as number[], residuals[prompt] as number[]),
    0,
  ],
  ['the value of the optimum', () => best, 0],
  ['the mean of R over the data, as in GRPO', ({ prompt, rewards }) => dot(mu, rewards[prompt] as number[]), 0.133],
  ['a value that is too low by a half', () => best - 0.5, 0.045],
  ['a value that is too high by a half', () => best + 0.5, 0.045],
  ['zero', () => 0, 0.638],
])('compared with %s, the policy comes to rest at the regret of that baseline', (_, baseline, regret) => {
  expect(best - objective(softmax([0, 0, 0]), [2.5, 2, 1])).toBeCloseTo(0.292, 3);
  expect(restingRegret(arms, baseline)).toBeCloseTo(regret, 3);
});

it('over prompts that differ, only siblings and a value per prompt lead to the optimum', () => {
  // Each prompt adds an offset to the rewards, whatever the completion.
  const prompts: Rewards = [0, 1.5, 3, 4.5].map((offset) => [2.5 + offset, 2 + offset, 1 + offset]);
  const at = (baseline: Baseline | 'siblings'): number => restingRegret(prompts, baseline, 1500);
  expect(at('siblings')).toBeCloseTo(0, 4);
  expect(at(({ prompt, residuals }) => dot(mu, residuals[prompt] as number[]))).toBeCloseTo(0, 4);
  const batchMean = at(({ residuals }) => mean(residuals.map((of) => dot(mu, of))));
  const rawMean = at(({ prompt, rewards }) => dot(mu, rewards[prompt] as number[]));
  expect(rawMean).toBeCloseTo(0.133, 3);
  // One mean over different prompts is worse than even the raw reward of each.
  expect(batchMean).toBeGreaterThan(rawMean);
});
