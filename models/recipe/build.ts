/**
 * `npm run model:build`: makes the default policy `models/tldr` from nothing.
 *
 * It trains a tokenizer, trains random weights on summaries of mixed quality, and writes the package. All randomness
 * comes from fixed seeds, and with one thread (the default) sums have one order, so every run makes the same weights. A
 * checkpoint keeps the progress: after an interruption, run the command again and it continues.
 *
 *     npm run model:build -- [--out models/tldr] [--threads 1] [--smoke]
 */

import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { AdamW, type Parameters } from '../../src/learner/index.js';
import { writeCard } from './card.js';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import type { CurvePoint } from './curve.js';
import { createBatch, createEncoder, type Encode } from './data.js';
import type { DecoderShape } from './decoder.js';
import { writePackage } from './package.js';
import { createProgress } from './progress.js';
import { cosine } from './schedule.js';
import { initializeWeights, SupervisedTrainer, toWeights } from './supervised.js';
import { specialTokens, tokenizerFiles, trainTokenizer, vocabularySize } from './tokenizer/index.js';
import { createRandom } from './world/index.js';

interface Recipe {
  readonly shape: DecoderShape;
  readonly steps: number;
  readonly postsPerStep: number;
  readonly summariesPerPost: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  readonly evaluateEvery: number;
  readonly heldOutPosts: number;
  readonly tokenizerPosts: number;
}

/** The decoder has 2.6 million parameters: wide enough to copy facts by induction, small enough for a kiosk. */
const fullRecipe: Recipe = {
  shape: {
    layers: 4,
    hiddenSize: 256,
    heads: 8,
    kvHeads: 4,
    headSize: 32,
    ffnSize: 512,
    vocabularySize,
    contextLength: 512,
    ropeTheta: 10_000,
    rmsNormEpsilon: 1e-5,
  },
  steps: 2400,
  postsPerStep: 8,
  summariesPerPost: 4,
  learningRate: 2e-3,
  warmupSteps: 100,
  weightDecay: 0.01,
  evaluateEvery: 100,
  heldOutPosts: 64,
  tokenizerPosts: 5000,
};

/** A run of some seconds for tests. The model that it makes is useless. */
const smokeRecipe: Recipe = {
  ...fullRecipe,
  shape: { ...fullRecipe.shape, layers: 1, hiddenSize: 32, heads: 2, kvHeads: 1, headSize: 16, ffnSize: 32 },
  steps: 12,
  postsPerStep: 2,
  summariesPerPost: 2,
  warmupSteps: 2,
  evaluateEvery: 4,
  heldOutPosts: 4,
  tokenizerPosts: 200,
};

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string' },
    threads: { type: 'string', default: '1' },
    smoke: { type: 'boolean', default: false },
    steps: { type: 'string' },
  },
});
const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
const chosen = flags.smoke ? smokeRecipe : fullRecipe;
const recipe = flags.steps ? { ...chosen, steps: Number(flags.steps) } : chosen;
const out = resolve(flags.out ?? join(root, flags.smoke ? '.build/smoke-model' : 'models/tldr'));
const work = `${out}.building`;

await mkdir(work, { recursive: true });
const encode = await prepareTokenizer();
const { parameters, curve } = await train(encode);
await finish(parameters, curve);

async function prepareTokenizer(): Promise<Encode> {
  const path = join(work, 'tokenizer-files.json');
  if (!existsSync(path)) {
    process.stderr.write('tokenizer: training byte pairs\n');
    const files = tokenizerFiles(trainTokenizer(recipe.tokenizerPosts), recipe.shape.contextLength);
    await writeFile(path, JSON.stringify(files));
  }
  return createEncoder(JSON.parse(await readFile(path, 'utf8')));
}

async function train(encode: Encode): Promise<{ parameters: Parameters; curve: CurvePoint[] }> {
  const { steps, learningRate, warmupSteps, weightDecay, postsPerStep, summariesPerPost } = recipe;
  const optimizer = new AdamW({
    learningRate: cosine(learningRate, warmupSteps, steps),
    beta1: 0.9,
    beta2: 0.98,
    weightDecay,
    clipNorm: 1,
  });
  const checkpointPath = join(work, 'checkpoint.safetensors');
  const checkpoint = await loadCheckpoint(checkpointPath);
  const parameters = checkpoint?.parameters ?? initializeWeights(recipe.shape, createRandom(1, 'weights'));
  if (checkpoint) {
    optimizer.restore(checkpoint.optimizer);
    process.stderr.write(`continuing from step ${optimizer.steps} of ${steps}\n`);
  }
  const curve: CurvePoint[] = checkpoint?.curve ?? [];
  const trainer = await SupervisedTrainer.create(recipe.shape, parameters, Number(flags.threads));
  const heldOut = createBatch(encode, {
    split: 'held-out',
    firstSeed: 0,
    posts: recipe.heldOutPosts,
    summariesPerPost: 1,
  });
  const progress = createProgress('training', steps);
  let losses: number[] = [];
  while (optimizer.steps < steps) {
    const firstSeed = optimizer.steps * postsPerStep;
    const batch = createBatch(encode, { split: 'train', firstSeed, posts: postsPerStep, summariesPerPost });
    const { loss, gradients } = await trainer.step(batch, parameters);
    optimizer.step(parameters, gradients);
    losses.push(loss);
    const step = optimizer.steps;
    progress.update(
      step,
      `step ${step} of ${steps}, loss ${loss.toFixed(3)}, held out ${curve.at(-1)?.heldOutLoss.toFixed(3) ?? '-'}`,
    );
    if (step % recipe.evaluateEvery === 0 || step === steps) {
      const heldOutLoss = await trainer.loss(heldOut, parameters);
      curve.push({ step, trainLoss: losses.reduce((a, b) => a + b, 0) / losses.length, heldOutLoss });
      losses = [];
      await saveCheckpoint(checkpointPath, { parameters, optimizer: optimizer.state(), curve });
    }
  }
  progress.finish(`held-out loss ${curve.at(-1)?.heldOutLoss.toFixed(3)} nats per token`);
  await trainer.close();
  return { parameters, curve };
}

async function finish(parameters: Parameters, curve: readonly CurvePoint[]): Promise<void> {
  const files = JSON.parse(await readFile(join(work, 'tokenizer-files.json'), 'utf8'));
  await writePackage(out, {
    shape: recipe.shape,
    weights: toWeights(parameters),
    tokenizerFiles: files,
    endTokenId: specialTokens.indexOf('<|end|>'),
  });
  await writeCard(out, {
    shape: recipe.shape,
    parameters: [...parameters.values()].reduce((sum, { data }) => sum + data.length, 0),
    curve,
    posts: flags.smoke ? 4 : 256,
    threads: Number(flags.threads),
  });
  await rm(work, { recursive: true });
  process.stderr.write(`the package is in ${out}\n`);
}
