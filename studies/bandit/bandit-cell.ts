/**
 * One run of the bandit of section 4 of the paper (arXiv 2406.19185): pairs that were drawn once from two fixed
 * distributions far from the policy, and one method that learns from them. The policy is an ONNX file; objective,
 * batches and optimizer are the learner's.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRandom, type Random } from '../../models/recipe/world/index.js';
import { AdamW, createOnnxEngine, type Parameters, type TrainingEngine } from '../../src/learner/index.js';
import { type Method, methodStep, type PairBatch } from '../tldr/methods.js';
import { arms, banditAdapter, logitsParameter, uniformLogits, writeBanditPackage } from './bandit-package.js';

/** Section 4 of the paper. */
export const bandit = {
  rewards: [2.5, 2, 1],
  first: [0.1, 0.2, 0.7],
  second: [0.05, 0.05, 0.9],
  beta: 0.5,
} as const;

const pairsPerPass = 64;

export interface BanditInput {
  readonly method: Method;
  /** Of the pairs, of the preferences, and of the order of the batches. */
  readonly seed: number;
  readonly pairs: number;
  /** Pairs of a batch; the last batch of an epoch may be smaller. */
  readonly batch: number;
  readonly learningRate: number;
  readonly epochs: number;
}

export interface BanditResult {
  /** J(pi*) - J(pi) after the last epoch, with J(pi) = E_pi[R] - beta KL(pi || uniform). */
  readonly regret: number;
  /** After each epoch; the first is before the first step. */
  readonly curve: readonly number[];
  readonly probabilities: readonly number[];
}

export async function runCell(input: BanditInput): Promise<BanditResult> {
  const directory = await mkdtemp(join(tmpdir(), 'hone-bandit-'));
  try {
    await writeBanditPackage(directory);
    const engine = await createOnnxEngine({ packageDirectory: directory, ...banditAdapter, threads: 1 });
    try {
      return await learn(engine, input);
    } finally {
      await engine.close();
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function learn(engine: TrainingEngine, input: BanditInput): Promise<BanditResult> {
  const { method, seed, learningRate, epochs } = input;
  const pairs = drawPairs(input);
  const order = createRandom(seed, 'bandit batches');
  const parameters = uniformLogits();
  const optimizer = new AdamW({
    learningRate: () => learningRate,
    beta1: 0.9,
    beta2: 0.999,
    clipNorm: Number.POSITIVE_INFINITY,
  });
  let probabilities = await policyOf(engine, parameters);
  const curve = [regretOf(probabilities)];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const shuffled = order.shuffle(pairs);
    for (let start = 0; start < shuffled.length; start += input.batch) {
      const value = expectedReward(method === 'pg_value' ? await policyOf(engine, parameters) : probabilities);
      const gradient = await gradientOf(method, engine, shuffled.slice(start, start + input.batch), value, parameters);
      // A stays: the logits are the parameters.
      optimizer.step(parameters, new Map([[logitsParameter, gradient]]));
    }
    probabilities = await policyOf(engine, parameters);
    curve.push(regretOf(probabilities));
  }
  return { regret: curve.at(-1) as number, curve, probabilities };
}

/** In parts of a batch, as a step costs the square of its rows; their mean is the batch's gradient. */
async function gradientOf(
  method: Method,
  engine: TrainingEngine,
  batch: readonly Pair[],
  value: number,
  parameters: Parameters,
): Promise<Float32Array> {
  const sum = new Float32Array(arms);
  for (let start = 0; start < batch.length; start += pairsPerPass) {
    const part = batch.slice(start, start + pairsPerPass);
    const { gradients } = await methodStep(method, engine, toBatch(part, value), parameters);
    for (const [arm, value] of (gradients.get(logitsParameter) as Float32Array).entries()) {
      sum[arm] = (sum[arm] as number) + (value * part.length) / batch.length;
    }
  }
  return sum;
}

interface Pair {
  readonly first: number;
  readonly second: number;
  readonly firstPreferred: boolean;
}

function drawPairs({ seed, pairs }: BanditInput): Pair[] {
  const random = createRandom(seed, 'bandit pairs');
  return Array.from({ length: pairs }, () => {
    const first = drawArm(bandit.first, random);
    const second = drawArm(bandit.second, random);
    const advantage = (bandit.rewards[first] as number) - (bandit.rewards[second] as number);
    return { first, second, firstPreferred: random.chance(1 / (1 + Math.exp(-advantage))) };
  });
}

function drawArm(probabilities: readonly number[], random: Random): number {
  let rest = random.next();
  for (const [arm, probability] of probabilities.entries()) {
    rest -= probability;
    if (rest < 0) return arm;
  }
  return probabilities.length - 1;
}

function toBatch(pairs: readonly Pair[], value: number): PairBatch {
  const chosen = pairs.flatMap(({ first, second }) => [first, second]);
  return {
    // The prompt tells nothing; its digits keep each pair in a short sequence of its own.
    rows: chosen.map((arm, i) => ({ promptTokens: digits(i >> 1), completionTokens: [arm] })),
    rewards: chosen.map((arm) => bandit.rewards[arm] as number),
    firstPreferred: pairs.map(({ firstPreferred }) => firstPreferred),
    referenceLogprobs: chosen.map(() => -Math.log(arms)),
    value,
    beta: bandit.beta,
  };
}

/** A number in base 3, the tokens of the bandit, in four digits. */
function digits(number: number): number[] {
  return Array.from({ length: 4 }, (_, i) => Math.floor(number / arms ** i) % arms);
}

/** What the ONNX policy gives each arm; the sum, 1 up to a float's rounding, is put right. */
async function policyOf(engine: TrainingEngine, parameters: Parameters): Promise<number[]> {
  const rows = Array.from({ length: arms }, (_, arm) => ({ promptTokens: [0], completionTokens: [arm] }));
  const weights = Array.from(await engine.logProbabilities(rows, parameters), Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function expectedReward(probabilities: readonly number[]): number {
  return probabilities.reduce((sum, probability, arm) => sum + probability * (bandit.rewards[arm] as number), 0);
}

/** pi* is proportional to exp(R / beta), and J(pi*) = beta ln(mean of exp(R / beta)). */
export function regretOf(probabilities: readonly number[]): number {
  const { rewards, beta } = bandit;
  const best = beta * Math.log(rewards.reduce((sum, reward) => sum + Math.exp(reward / beta), 0) / arms);
  const divergence = probabilities.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p * arms) : 0), 0);
  return best - (expectedReward(probabilities) - beta * divergence);
}
