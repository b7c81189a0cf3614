/**
 * One cell of the bandit study (section 4 of the paper, arXiv 2406.19185): one method learns from pairs that are drawn
 * once from two fixed distributions far from the policy. The policy is an ONNX file; engine, objective and optimizer
 * are the learner's.
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
  /** Seed of the pairs, the preferences and the order of the batches. */
  readonly seed: number;
  readonly pairs: number;
  /** Number of pairs of a batch; the last batch of an epoch may be smaller. */
  readonly batch: number;
  readonly learningRate: number;
  readonly epochs: number;
}

export interface BanditResult {
  /** J(pi*) - J(pi) after the last epoch, with J(pi) = E_pi[R] - beta KL(pi || uniform). */
  readonly regret: number;
  /** The regret before the first step and after each epoch. */
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
      // The matrix A stays as it is, so the parameters are the logits.
      optimizer.step(parameters, new Map([[logitsParameter, gradient]]));
    }
    probabilities = await policyOf(engine, parameters);
    curve.push(regretOf(probabilities));
  }
  return { regret: curve.at(-1) as number, curve, probabilities };
}

/** The gradient of a batch as the mean over its parts, because the cost of a pass grows with the square of its rows. */
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
    // The policy ignores the prompt. Its digits differ by pair, so each pair is packed into a short sequence of its
    // own.
    rows: chosen.map((arm, i) => ({ promptTokens: digits(i >> 1), completionTokens: [arm] })),
    rewards: chosen.map((arm) => bandit.rewards[arm] as number),
    firstPreferred: pairs.map(({ firstPreferred }) => firstPreferred),
    referenceLogprobs: chosen.map(() => -Math.log(arms)),
    value,
    beta: bandit.beta,
  };
}

/** Four digits of a number in base 3: the bandit has three tokens. */
function digits(number: number): number[] {
  return Array.from({ length: 4 }, (_, i) => Math.floor(number / arms ** i) % arms);
}

/** The policy's probability of each arm, normalised, because their sum is 1 only up to rounding. */
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
