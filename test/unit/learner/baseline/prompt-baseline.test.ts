import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PromptBaseline } from '../../../../src/learner/baseline/prompt-baseline.js';
import { PromptRidge } from '../../../../src/learner/baseline/prompt-ridge.js';
import { PromptSketcher } from '../../../../src/learner/baseline/prompt-sketch.js';
import { RunningMeanBaseline } from '../../../../src/learner/baseline/running-mean.js';
import type { ValueBaseline } from '../../../../src/learner/baseline/types.js';
import { type Member, Members } from '../../../../src/learner/experience/members.js';
import { createRandom, type Random } from '../../../../src/learner/random.js';
import { readCheckpoint, writeCheckpoint } from '../../../../src/learner/round/checkpoint.js';
import { temporaryFolder } from '../../../support/folders.js';
import { checkpoint } from '../../../support/learner/checkpoints.js';

const word = 500;

/**
 * Completions without siblings, to prompts of 20 ordinary tokens of which half contain the word; `effect` adds to
 * rewards.
 */
function singles(count: number, random: Random, effect: (tokens: readonly number[]) => number, from = 0): Member[] {
  const members = new Members();
  for (let i = from; i < from + count; i++) {
    const tokens = Array.from({ length: 20 }, () => Math.floor(random() * 120));
    if (random() < 0.5) tokens[Math.floor(random() * 20)] = word;
    const reward = 0.3 + 0.5 * random() + effect(tokens);
    members.put({
      id: `${i}`,
      groupKey: `g${i}`,
      kind: 'scores',
      promptTokens: Uint32Array.from(tokens),
      completionTokens: Uint32Array.of(1),
      reward,
      version: 0,
      adapterDigest: 'zero',
      behaviourLogprob: 0,
      createdAtMs: 0,
      sequence: i,
    });
  }
  return [...members.entries.values()];
}

/** Features that do not depend on the prompt. */
const blind = async (prompts: readonly ArrayLike<number>[]): Promise<Float32Array[]> =>
  prompts.map(() => Float32Array.of(1, 0, 1, 0));

async function observe(baseline: ValueBaseline, members: readonly Member[]): Promise<void> {
  for (let i = 0; i < members.length; i += 8) {
    const step = members.slice(i, i + 8);
    await baseline.values(step);
    baseline.observe(step, new Float32Array(step.length), 0.05);
  }
}

async function errorOn(baseline: ValueBaseline, members: readonly Member[]): Promise<number> {
  const values = await baseline.values(members);
  return members.reduce((sum, { reward }, i) => sum + (reward - (values[i] as number)) ** 2, 0) / members.length;
}

test('if one word of the prompt shifts the reward, V predicts the shift for new prompts, and a running mean cannot', async () => {
  const random = createRandom(5);
  const shift = (tokens: readonly number[]): number => (tokens.includes(word) ? 0.2 : -0.2);
  const [seen, heldOut] = [singles(200, random, shift), singles(200, random, shift, 1000)];
  const [byPrompt, mean] = [new PromptBaseline(blind), new RunningMeanBaseline()];
  await observe(byPrompt, seen);
  await observe(mean, seen);
  const noise = 0.25 / 12;
  expect((await errorOn(mean, heldOut)) - noise).toBeGreaterThan(0.03);
  expect((await errorOn(byPrompt, heldOut)) - noise).toBeLessThan(0.01);
});

test('V also finds a shift that shows in the hidden states only', async () => {
  const random = createRandom(6);
  const level = (tokens: ArrayLike<number>): number => Math.cos((tokens[0] as number) ** 2);
  const describe = async (prompts: readonly ArrayLike<number>[]): Promise<Float32Array[]> =>
    prompts.map((tokens) => Float32Array.of(1, level(tokens), 1, 0));
  const effect = (tokens: readonly number[]): number => 0.3 * level(tokens);
  const [seen, heldOut] = [singles(300, random, effect), singles(200, random, effect, 1000)];
  const [byPrompt, mean] = [new PromptBaseline(describe), new RunningMeanBaseline()];
  await observe(byPrompt, seen);
  await observe(mean, seen);
  expect(await errorOn(byPrompt, heldOut)).toBeLessThan(0.6 * (await errorOn(mean, heldOut)));
});

test('if prompts do not shift the reward, V is no worse than the running mean', async () => {
  for (const seed of [1, 2, 3]) {
    const random = createRandom(seed);
    const [seen, heldOut] = [singles(120, random, () => 0), singles(200, random, () => 0, 1000)];
    const [byPrompt, mean] = [new PromptBaseline(blind), new RunningMeanBaseline()];
    await observe(byPrompt, seen);
    await observe(mean, seen);
    expect(await errorOn(byPrompt, heldOut)).toBeLessThan(1.1 * (await errorOn(mean, heldOut)));
  }
});

test('V predicts the regularised reward, with the h that was last seen and the current beta', async () => {
  const members = singles(8, createRandom(1), () => 0);
  const baseline = new PromptBaseline(blind);
  for (let step = 0; step < 40; step++) {
    await baseline.values(members);
    baseline.observe(members, new Float32Array(8).fill(2), 0.1);
  }
  const mean = members.reduce((sum, { reward }) => sum + reward / 8, 0);
  expect((await baseline.values(members))[0]).toBeCloseTo(mean - 0.2, 2);
});

test('the reward of a completion does not enter the V that it is compared with', () => {
  const members = singles(60, createRandom(8), () => 0);
  const sketcher = new PromptSketcher();
  const prompts = members.map(({ group }) => sketcher.sketch(Float32Array.of(1, 0, 1, 0), group.promptTokens));
  const ridge = new PromptRidge(prompts, { sketch: true, words: [word], shrinkage: 0.01 });
  const targets = Float64Array.from(members, ({ reward }) => reward);
  ridge.fit(targets);
  const [own, others] = [ridge.effect(prompts[0] as never), ridge.effectWithout(0)];
  ridge.fit(targets.map((target, i) => target + (i === 0 ? 5 : 0)));
  expect(ridge.effect(prompts[0] as never) - own).toBeGreaterThan(1);
  expect(Math.abs(ridge.effectWithout(0) - others)).toBeLessThan(0.1);
});

test('no features are computed for prompts whose completions all have siblings', async () => {
  let described = 0;
  const baseline = new PromptBaseline((prompts) => {
    described += prompts.length;
    return blind(prompts);
  });
  const [single] = singles(1, createRandom(1), () => 0);
  const pair = [single, { ...(single as Member) }] as Member[];
  await baseline.values(pair);
  expect(described).toBe(0);
  await baseline.values([single as Member]);
  await baseline.values([single as Member]);
  expect(described).toBe(1);
});

test('V continues from a checkpoint with the same numbers, bit for bit', async () => {
  const random = createRandom(5);
  const shift = (tokens: readonly number[]): number => (tokens.includes(word) ? 0.2 : -0.2);
  const members = singles(160, random, shift);
  const whole = new PromptBaseline(blind);
  await observe(whole, members.slice(0, 100));
  const { numbers, window, tensors } = whole.state();
  const path = join(temporaryFolder(), 'checkpoint.safetensors');
  const state = { ...checkpoint.state, baseline: numbers, ...(window === undefined ? {} : { baselineWindow: window }) };
  await writeCheckpoint(path, { ...checkpoint, state, baselineTensors: tensors });
  const read = await readCheckpoint(path);
  const resumed = new PromptBaseline(blind);
  resumed.restore({
    numbers: read?.state.baseline ?? [],
    ...(read?.state.baselineWindow === undefined ? {} : { window: read.state.baselineWindow }),
    ...(read?.baselineTensors === undefined ? {} : { tensors: read.baselineTensors }),
  });
  expect(window?.choice.words).toContain(word);
  for (const baseline of [whole, resumed]) await observe(baseline, members.slice(60));
  expect(await resumed.values(members)).toEqual(await whole.values(members));
  expect(resumed.state()).toEqual(whole.state());
});

test('V begins from the running mean that an earlier build stored', async () => {
  const members = singles(8, createRandom(2), () => 0);
  const mean = new RunningMeanBaseline();
  await observe(mean, members);
  const baseline = new PromptBaseline(blind);
  baseline.restore({ numbers: mean.state().numbers });
  expect(await baseline.values(members)).toEqual(await mean.values(members));
});

test('V remembers a bounded number of completions, and none that the store has removed', async () => {
  const members = singles(1500, createRandom(3), () => 0);
  const baseline = new PromptBaseline(blind);
  await observe(baseline, members);
  expect(baseline.generationIds().length).toBeLessThanOrEqual(1024 * 1.25 + 8);
  expect(baseline.generationIds()).toContain('1499');
  baseline.retain(new Set(['1499', '1498']));
  expect(baseline.generationIds()).toEqual(['1498', '1499']);
  expect(baseline.state().window?.prompts.map(([key]) => key)).toEqual(['g1498', 'g1499']);
});
