/**
 * One cell of the summarisation study: one method learns offline from the pairs of a seed, and the completions that it
 * writes on held-out posts are scored. All methods share everything but the objective: adapters and their first values,
 * optimizer, batches, number of steps.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultPackage } from '../../bench/lib/project.js';
import { createRandom } from '../../models/recipe/world/index.js';
import {
  AdamW,
  checkLearnerSettings,
  createOnnxEngine,
  initialParameters,
  learningRates,
  type Parameters,
  type TrainingEngine,
  type TrainingRow,
  toAdapter,
  toParameters,
} from '../../src/learner/index.js';
import { zeroAdapter } from '../../src/versions/index.js';
import { fingerprintOf } from '../cells/cell-store.js';
import { workFolder } from '../cells/work-folder.js';
import { type Method, methodStep } from './methods.js';
import type { OfflinePair } from './tldr-pairs-cell.js';
import { heldOutPosts, openPolicyWithReward, type PolicyWithReward } from './tldr-parts.js';

export interface OfflineInput {
  readonly method: Method;
  readonly beta: number;
  /** Seed of the data, the adapters and the order of the pairs. */
  readonly seed: number;
  readonly passes: number;
  /** Number of pairs of a step. */
  readonly batch: number;
  readonly heldOutPosts: number;
  /** Digest of the pairs: other pairs make another cell. */
  readonly pairsDigest: string;
  /** The file of the pairs, in the work folder. */
  readonly pairsFile: string;
}

/** Means over the completions that the policy writes on the held-out posts. */
export interface OfflinePoint {
  readonly step: number;
  readonly reward: number;
  /** E[ln pi - ln pi_ref] in nats per completion. */
  readonly kl: number;
  readonly tokens: number;
}

export interface OfflineResult {
  /** Before the first step and after each pass. */
  readonly points: readonly OfflinePoint[];
  /** Mean h = ln pi - ln pi_ref over the last pass, of preferred and of other completions. */
  readonly preferredH: number;
  readonly otherH: number;
}

export async function runCell(input: OfflineInput): Promise<OfflineResult> {
  const pairs = JSON.parse(await readFile(join(workFolder, input.pairsFile), 'utf8')) as readonly OfflinePair[];
  if (fingerprintOf(pairs) !== input.pairsDigest)
    throw new Error(`${input.pairsFile} holds other pairs than the cell was planned with; run the study again`);
  const settings = checkLearnerSettings({ seed: input.seed + 1 });
  const { rank, scale } = settings;
  const engine = await createOnnxEngine({ packageDirectory: defaultPackage, rank, scale, threads: 1 });
  try {
    await using policy = await openPolicyWithReward(rank, scale);
    return await new OfflineRun(input, pairs, engine, policy, settings).learn();
  } finally {
    await engine.close();
  }
}

type Engine = TrainingEngine & Awaited<ReturnType<typeof createOnnxEngine>>;
type Settings = ReturnType<typeof checkLearnerSettings>;

class OfflineRun {
  readonly #input: OfflineInput;
  readonly #pairs: readonly OfflinePair[];
  readonly #engine: Engine;
  readonly #policy: PolicyWithReward;
  readonly #settings: Settings;
  readonly #reference: Parameters;
  readonly #parameters: Parameters;
  readonly #optimizer: AdamW;

  constructor(
    input: OfflineInput,
    pairs: readonly OfflinePair[],
    engine: Engine,
    policy: PolicyWithReward,
    settings: Settings,
  ) {
    const { rank, scale, seed, adamBeta1, adamBeta2, clipNorm } = settings;
    this.#input = input;
    this.#pairs = pairs;
    this.#engine = engine;
    this.#policy = policy;
    this.#settings = settings;
    this.#reference = toParameters(zeroAdapter(engine.targets, rank, scale));
    this.#parameters = initialParameters(engine.targets, rank, seed);
    this.#optimizer = new AdamW({
      learningRate: learningRates(settings),
      beta1: adamBeta1,
      beta2: adamBeta2,
      clipNorm,
    });
  }

  async learn(): Promise<OfflineResult> {
    const { passes, batch, seed } = this.#input;
    const references = await this.#referenceLogprobs();
    const order = createRandom(seed, 'offline order');
    const points = [await this.#evaluate()];
    let h: { preferred: number[]; other: number[] } = { preferred: [], other: [] };
    for (let pass = 0; pass < passes; pass++) {
      h = { preferred: [], other: [] };
      const shuffled = order.shuffle(this.#pairs.map((_, i) => i));
      for (let start = 0; start < shuffled.length; start += batch) {
        await this.#step(shuffled.slice(start, start + batch), references, h);
      }
      points.push(await this.#evaluate());
    }
    return { points, preferredH: mean(h.preferred), otherH: mean(h.other) };
  }

  async #step(
    chosen: readonly number[],
    references: readonly (readonly number[])[],
    h: { preferred: number[]; other: number[] },
  ): Promise<void> {
    const pairs = chosen.map((i) => this.#pairs[i] as OfflinePair);
    const referenceLogprobs = chosen.flatMap((i) => references[i] as readonly number[]);
    const batch = {
      rows: pairs.flatMap(rowsOf),
      rewards: pairs.flatMap(({ rewards }) => rewards),
      firstPreferred: pairs.map(({ firstPreferred }) => firstPreferred),
      referenceLogprobs,
      beta: this.#input.beta,
    };
    const { gradients, logprobs } = await methodStep(this.#input.method, this.#engine, batch, this.#parameters);
    if (!this.#optimizer.step(this.#parameters, gradients).applied) throw new Error('a gradient is not finite');
    for (const [i, logprob] of logprobs.entries()) {
      const preferred = batch.firstPreferred[i >> 1] === (i % 2 === 0);
      h[preferred ? 'preferred' : 'other'].push(logprob - (referenceLogprobs[i] as number));
    }
  }

  /**
   * ln pi_ref of the two completions of each pair; in parts, because the cost of a pass grows with the square of its
   * rows.
   */
  async #referenceLogprobs(): Promise<number[][]> {
    const all: number[][] = [];
    for (let start = 0; start < this.#pairs.length; start += 16) {
      const rows = this.#pairs.slice(start, start + 16).flatMap(rowsOf);
      const logprobs = await this.#engine.logProbabilities(rows, this.#reference);
      for (let i = 0; i < rows.length; i += 2) all.push([logprobs[i] as number, logprobs[i + 1] as number]);
    }
    return all;
  }

  async #evaluate(): Promise<OfflinePoint> {
    const { rank, scale } = this.#settings;
    if (this.#optimizer.steps > 0) await this.#policy.swap(toAdapter(this.#parameters, rank, scale));
    const posts = heldOutPosts(this.#policy.pkg, this.#input.heldOutPosts);
    const written = (await this.#policy.sample(posts, 1, 'offline held out')).flat();
    const rows = written.map(({ tokens }, i) => ({
      promptTokens: posts[i]?.promptTokens ?? [],
      completionTokens: tokens,
    }));
    const divergences: number[] = [];
    for (let start = 0; start < rows.length; start += 32) {
      const references = await this.#engine.logProbabilities(rows.slice(start, start + 32), this.#reference);
      for (const [i, reference] of references.entries()) {
        const own = written[start + i]?.logprobs.reduce((sum, logprob) => sum + logprob, 0) ?? Number.NaN;
        divergences.push(own - reference);
      }
    }
    return {
      step: this.#optimizer.steps,
      reward: mean(written.map(({ reward }) => reward)),
      kl: mean(divergences),
      tokens: mean(written.map(({ tokens }) => tokens.length)),
    };
  }
}

function rowsOf({ promptTokens, completions }: OfflinePair): TrainingRow[] {
  return completions.map((completionTokens) => ({ promptTokens, completionTokens }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
