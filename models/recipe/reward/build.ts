/**
 * `npm run model:build:reward`: makes the reward model `models/tldr-reward` from the default policy.
 *
 * It samples completions of training posts from the supervised policy, draws preferences from a judge's scores, trains
 * all weights by Bradley-Terry, and writes the package and its card. All randomness comes from fixed seeds. Progress is
 * kept: after an interruption, run the command again and it continues.
 *
 *     npm run model:build:reward -- [--policy models/tldr] [--out models/tldr-reward] [--threads 1] [--smoke]
 */

import { mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { AdamW, type Parameters } from '../../../src/learner/index.js';
import { loadPackage } from '../../../src/package/index.js';
import { loadCheckpoint, saveCheckpoint } from '../checkpoint.js';
import { createProgress } from '../progress.js';
import { cosine } from '../schedule.js';
import { toWeights } from '../supervised.js';
import { createRandom } from '../world/index.js';
import { readBackbone } from './backbone.js';
import { type RewardCurvePoint, writeRewardCard } from './card.js';
import { type Agreement, average, measureAgreement } from './measures.js';
import { writeRewardPackage } from './package.js';
import { drawPreferences, judge } from './preferences.js';
import { type SampledPost, samplePosts } from './samples.js';
import { BradleyTerryTrainer, type Preference, type RatedRow } from './trainer.js';

interface RewardRecipe {
  readonly posts: number;
  readonly completionsPerPost: number;
  readonly heldOutPosts: number;
  readonly epochs: number;
  readonly postsPerStep: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** Weight of (r + r')^2 in the loss. */
  readonly centring: number;
  readonly evaluateEvery: number;
}

const fullRecipe: RewardRecipe = {
  posts: 6144,
  completionsPerPost: 4,
  heldOutPosts: 256,
  epochs: 1,
  postsPerStep: 16,
  learningRate: 5e-4,
  warmupSteps: 20,
  weightDecay: 0.01,
  centring: 0.01,
  evaluateEvery: 32,
};

/** A run of some seconds for tests. The model that it makes is useless. */
const smokeRecipe: RewardRecipe = { ...fullRecipe, posts: 8, heldOutPosts: 4, postsPerStep: 4, evaluateEvery: 1 };

/** The policy's card and the demo use posts with other seeds. */
const firstSeed = { train: 1_000_000, 'held-out': 700_000 } as const;

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const { values: flags } = parseArgs({
  options: {
    policy: { type: 'string', default: join(root, 'models/tldr') },
    out: { type: 'string' },
    threads: { type: 'string', default: '1' },
    smoke: { type: 'boolean', default: false },
  },
});
const recipe = flags.smoke ? smokeRecipe : fullRecipe;
const threads = Number(flags.threads);
const out = resolve(flags.out ?? join(root, flags.smoke ? '.build/smoke-reward-model' : 'models/tldr-reward'));
const work = `${out}.building`;

/** A post for training, with rows and scores in the order of its completions. */
interface RatedPost {
  readonly seed: number;
  readonly rows: readonly RatedRow[];
  readonly scores: readonly number[];
}

await mkdir(work, { recursive: true });
const policy = await loadPackage(flags.policy);
const common = { pkg: policy, completionsPerPost: recipe.completionsPerPost, threads, work };
const sampled = await samplePosts({ ...common, split: 'train', firstSeed: firstSeed.train, posts: recipe.posts });
const heldOutSamples = await samplePosts({
  ...common,
  split: 'held-out',
  firstSeed: firstSeed['held-out'],
  posts: recipe.heldOutPosts,
});
const heldOut = heldOutSamples.map(ratedPost);
const { shape, parameters: backbone } = await readBackbone(policy);
const { parameters, curve, agreement } = await train(sampled.map(ratedPost));
await writeRewardPackage(out, { shape, weights: toWeights(parameters), policyDirectory: policy.directory });
await writeRewardCard(out, {
  parameters: [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0),
  pairs: (sampled.length * recipe.completionsPerPost * (recipe.completionsPerPost - 1)) / 2,
  posts: sampled.length,
  completionsPerPost: recipe.completionsPerPost,
  curve,
  agreement,
  heldOut: heldOutSamples,
  threads,
});
await rm(work, { recursive: true });
process.stderr.write(`the package is in ${out}\n`);

function ratedPost({ seed, post, texts }: SampledPost): RatedPost {
  const promptTokens = policy.tokenizer.encodeChat([{ role: 'user', content: post }]);
  const { turnEndTokenId } = policy.config;
  return {
    seed,
    rows: texts.map((text) => ({
      promptTokens,
      completionTokens: [...policy.tokenizer.encodeCompletion(text), turnEndTokenId],
    })),
    scores: texts.map((text) => judge(post, text)),
  };
}

async function train(
  posts: readonly RatedPost[],
): Promise<{ parameters: Parameters; curve: RewardCurvePoint[]; agreement: Agreement }> {
  const { epochs, postsPerStep, learningRate, warmupSteps, weightDecay, centring, evaluateEvery } = recipe;
  const stepsPerEpoch = Math.floor(posts.length / postsPerStep);
  const steps = epochs * stepsPerEpoch;
  const optimizer = new AdamW({
    learningRate: cosine(learningRate, warmupSteps, steps),
    beta1: 0.9,
    beta2: 0.98,
    weightDecay,
    clipNorm: 1,
  });
  const checkpointPath = join(work, 'checkpoint.safetensors');
  const checkpoint = await loadCheckpoint<RewardCurvePoint>(checkpointPath);
  const parameters = checkpoint?.parameters ?? backbone;
  if (checkpoint) {
    optimizer.restore(checkpoint.optimizer);
    process.stderr.write(`continuing from step ${optimizer.steps} of ${steps}\n`);
  }
  const curve = checkpoint?.curve ?? [];
  const trainer = await BradleyTerryTrainer.create(shape, parameters, { threads, centring });
  const progress = createProgress('training', steps);
  let losses: number[] = [];
  while (optimizer.steps < steps) {
    const epoch = Math.floor(optimizer.steps / stepsPerEpoch);
    const order = createRandom(epoch, 'order').shuffle(posts);
    const first = (optimizer.steps % stepsPerEpoch) * postsPerStep;
    const { rows, preferences } = batchOf(order.slice(first, first + postsPerStep));
    const { loss, gradients } = await trainer.step(rows, preferences, parameters);
    optimizer.step(parameters, gradients);
    losses.push(loss);
    const step = optimizer.steps;
    const accuracy = curve.at(-1)?.heldOutAccuracy;
    progress.update(
      step,
      `step ${step} of ${steps}, loss ${loss.toFixed(3)}, accuracy on held-out pairs ${accuracy?.toFixed(3) ?? '-'}`,
    );
    if (step % evaluateEvery === 0 || step === steps) {
      const { pairAccuracy } = measureAgreement(await rate(trainer, parameters));
      curve.push({ step, trainLoss: average(losses), heldOutAccuracy: pairAccuracy });
      losses = [];
      await saveCheckpoint(checkpointPath, { parameters, optimizer: optimizer.state(), curve });
    }
  }
  const agreement = measureAgreement(await rate(trainer, parameters));
  progress.finish(`accuracy on held-out pairs ${agreement.pairAccuracy.toFixed(3)}`);
  await trainer.close();
  return { parameters, curve, agreement };
}

function batchOf(posts: readonly RatedPost[]): { rows: RatedRow[]; preferences: Preference[] } {
  const rows: RatedRow[] = [];
  const preferences: Preference[] = [];
  for (const post of posts) {
    preferences.push(...drawPreferences(post.scores, post.seed, rows.length));
    rows.push(...post.rows);
  }
  return { rows, preferences };
}

/** Returns the judge's scores and the model's rewards on the held-out posts. */
async function rate(
  trainer: BradleyTerryTrainer,
  parameters: Parameters,
): Promise<{ scores: readonly number[]; rewards: number[] }[]> {
  const rated: { scores: readonly number[]; rewards: number[] }[] = [];
  for (let first = 0; first < heldOut.length; first += recipe.postsPerStep) {
    const part = heldOut.slice(first, first + recipe.postsPerStep);
    const rewards = [
      ...(await trainer.rewards(
        part.flatMap(({ rows }) => rows),
        parameters,
      )),
    ];
    for (const { scores } of part) rated.push({ scores, rewards: rewards.splice(0, scores.length) });
  }
  return rated;
}
