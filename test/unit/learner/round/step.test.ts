import { expect, test } from 'vitest';
import { createBaseline } from '../../../../src/learner/baseline/create-baseline.js';
import { ExperienceBuffer } from '../../../../src/learner/experience/buffer.js';
import { AdamW, learningRates } from '../../../../src/learner/index.js';
import { initialParameters, toParameters } from '../../../../src/learner/initialization.js';
import { learnStep, type StepOptions } from '../../../../src/learner/round/step.js';
import type { LearnerSettings } from '../../../../src/learner/types.js';
import { zeroAdapter } from '../../../../src/versions/index.js';
import { BanditEngine } from '../../../support/learner/bandit-engine.js';
import { decoder, openExperience, type Sample, settings } from '../../../support/learner/experience.js';

/** The bandit of section 4 of the paper, with rewards scaled into [0, 1]: only R/beta matters. */
const armRewards = [1, 0.8, 0.4];
const optimum = [0.7054, 0.2595, 0.0351];

async function bandit(samples: readonly Sample[], over: Partial<LearnerSettings> = {}) {
  const { add, reader } = await openExperience();
  await add(samples);
  const buffer = new ExperienceBuffer({ packageDigest: 'package', decoder, holdoutShare: 0, maxStaleness: 9 });
  buffer.sync(reader, 0);
  const chosen = settings({ rank: 2, scale: 1, beta: 0.2, replayRatio: 1e6, learningRate: 0.02, ...over });
  const engine = new BanditEngine(chosen.scale);
  const options = {
    engine,
    buffer,
    settings: chosen,
    baseline: createBaseline(chosen, (prompts) => engine.promptFeatures(prompts)),
    optimizer: new AdamW({
      learningRate: learningRates(chosen),
      beta1: 0.9,
      beta2: 0.99,
      clipNorm: 1,
    }),
    parameters: initialParameters(engine.targets, chosen.rank, 3),
    reference: { digest: 'base', parameters: toParameters(zeroAdapter(engine.targets, chosen.rank, chosen.scale)) },
  } satisfies StepOptions;
  return { engine, buffer, options };
}

/** Arms drawn very unevenly, as the paper's data is. */
function draws(groups: number, size: number): Sample[] {
  let state = 17;
  const arm = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const u = state / 2 ** 32;
    return u < 0.1 ? 0 : u < 0.3 ? 1 : 2;
  };
  return Array.from({ length: groups * size }, (_, i) => {
    const token = arm();
    return { id: `${i}`, group: `g${Math.floor(i / size)}`, tokens: [token], reward: armRewards[token] ?? 0 };
  });
}

test('groups drawn off-policy lead to the optimum of the regularised objective', async () => {
  const { engine, options } = await bandit(draws(60, 3));
  for (let step = 0; step < 600; step++) await learnStep(options, step);
  for (const [arm, p] of engine.probabilities(options.parameters).entries())
    expect(p).toBeCloseTo(optimum[arm] ?? 0, 2);
});

test('single completions lead there too, with V(x) in place of the siblings', async () => {
  const { engine, options } = await bandit(draws(200, 1), { groupsPerStep: 64 });
  for (let step = 0; step < 800; step++) await learnStep(options, step);
  for (const [arm, p] of engine.probabilities(options.parameters).entries())
    expect(p).toBeCloseTo(optimum[arm] ?? 0, 1);
});

test('each completion is evaluated under the reference once, and a step reports its figures', async () => {
  const { engine, options } = await bandit([
    { id: '1', group: 'x', tokens: [0], reward: 1 },
    { id: '2', group: 'x', tokens: [2], reward: 0 },
    { id: '3', group: 'y', tokens: [1], reward: 0.5 },
  ]);
  const report = await learnStep(options, 0);
  expect(report).toMatchObject({ rows: 3, applied: true, meanReward: 0.5 });
  // The samples were recorded with probability 1. The reference gives each arm a third.
  expect(report?.kl).toBeCloseTo(Math.log(3), 6);
  expect(report?.gradientNorm).toBeGreaterThan(0);
  await learnStep(options, 1);
  expect(engine.evaluatedRows).toBe(3);
  const [{ rows, form }] = engine.passes as [BanditEngine['passes'][number]];
  const row = (arm: number): number => rows.findIndex(({ completionTokens }) => completionTokens[0] === arm);
  // The h of a completion moves the weights of its siblings, and of no other.
  const slope = (of: number, by: number): number => form.dependence?.slopes[row(of) * 3 + row(by)] ?? Number.NaN;
  expect(slope(0, 2)).toBeGreaterThan(0);
  expect(slope(0, 1)).toBe(0);
});

test('log-probabilities are computed again under a reference that has moved', async () => {
  const { engine, options } = await bandit([
    { id: '1', group: 'x', tokens: [0], reward: 1 },
    { id: '2', group: 'x', tokens: [2], reward: 0 },
  ]);
  await learnStep(options, 0);
  const moved = { digest: 'moved', parameters: initialParameters(engine.targets, 2, 5) };
  for (const { data } of moved.parameters.values()) data.set(data.map((_, i) => i / 4));
  for (const step of [1, 2]) await learnStep({ ...options, reference: moved }, step);
  expect(engine.evaluatedRows).toBe(4);
  const [before, after] = engine.passes.map(({ form }) => form.dependence?.referenceLogprobs);
  expect(after).toHaveLength(2);
  expect(after).not.toEqual(before);
});

test('a step whose gradients are not finite moves nothing and reports that', async () => {
  const { engine, options } = await bandit(draws(4, 3));
  const before = options.parameters.get('bandit.lora_A')?.data.slice();
  engine.poisoned = true;
  expect(await learnStep(options, 0)).toMatchObject({ applied: false });
  expect(options.parameters.get('bandit.lora_A')?.data).toEqual(before);
});

test('there is no step when every completion is used up', async () => {
  const { options } = await bandit(draws(2, 2), { replayRatio: 1 });
  expect(await learnStep(options, 0)).not.toBeNull();
  expect(await learnStep(options, 1)).toBeNull();
});

test('without a baseline a single completion is compared with nothing, and the policy moves to a wrong optimum', async () => {
  const { engine, options } = await bandit(draws(200, 1), { groupsPerStep: 64, baseline: 'none' });
  for (let step = 0; step < 800; step++) await learnStep(options, step);
  for (const { rows, form } of engine.passes.slice(0, 9)) {
    // Each row's constant is its share of its reward: no baseline is subtracted.
    for (const [i, { completionTokens }] of rows.entries())
      expect((form.constants[i] as number) * rows.length).toBeCloseTo(
        armRewards[completionTokens[0] as number] ?? 0,
        5,
      );
  }
  const [best = 1] = engine.probabilities(options.parameters);
  expect(best).toBeLessThan((optimum[0] ?? 0) - 0.2);
});

test('beta follows its schedule from step to step', async () => {
  const { engine, options } = await bandit(draws(4, 3), { beta: 0.1, betaInitial: 0.4, betaSteps: 2 });
  for (let step = 0; step < 4; step++) await learnStep(options, step);
  // Along the diagonal the slopes add up to -beta, however large the groups are.
  const betas = engine.passes.map(({ rows, form }) =>
    rows.reduce((sum, _, i) => sum - (form.dependence?.slopes[i * (rows.length + 1)] ?? Number.NaN), 0),
  );
  expect(betas).toEqual([0.4, 0.2, 0.1, 0.1].map((beta) => expect.closeTo(beta, 6)));
});
