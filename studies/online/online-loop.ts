/**
 * Hone's loop in one process, deterministic by seed: the policy writes, raters score, the store keeps, the learner
 * learns, the policy swaps. Policy, store and learner are those of the server. Doors, processes and the gate are left out:
 * every candidate goes live.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v7 as uuidv7 } from 'uuid';
import { Resources } from '../../bench/lib/resources.js';
import { hashText } from '../../models/recipe/world/index.js';
import { checkLearnerSettings } from '../../src/learner/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../src/package/index.js';
import { groupKey, openReplayReader, openReplayStore, type ReplayStore } from '../../src/replay/index.js';
import { digestAdapter, readAdapter, zeroAdapter } from '../../src/versions/index.js';
import { type Feedback, Raters, type Shown } from './online-feedback.js';
import { OnlineLearner } from './online-learner.js';
import { type Completion, OnlineSampler } from './online-sampler.js';
import { type OnlinePoint, type OnlineResult, type OnlineTask, type Shape, shapes } from './online-task.js';
import type { World } from './online-world.js';

export interface OnlineOptions extends OnlineTask {
  readonly world: World;
  readonly packageDirectory: string;
  /** Of a completion, at most. */
  readonly maxTokens: number;
}

/** Runs the loop until the last budget is spent; the serving version is evaluated at each of them. */
export async function runOnline(options: OnlineOptions): Promise<OnlineResult> {
  await using loop = await OnlineLoop.open(options);
  const points: OnlinePoint[] = [];
  for (const budget of options.budgets) {
    await loop.spend(budget);
    points.push(await loop.evaluate());
  }
  return { points, seconds: loop.seconds };
}

interface Parts {
  readonly pkg: Package;
  readonly sampler: OnlineSampler;
  readonly learner: OnlineLearner;
  readonly store: ReplayStore;
}

class OnlineLoop implements AsyncDisposable {
  readonly #options: OnlineOptions;
  readonly #parts: Parts;
  readonly #resources: Resources;
  readonly #raters: Raters;
  /** Feedback that has not been given yet. */
  #waiting: Feedback[] = [];
  #given = 0;
  #posts = 0;
  #generations = 0;
  readonly seconds = { generating: 0, learning: 0, evaluating: 0 };

  private constructor(options: OnlineOptions, parts: Parts, resources: Resources) {
    this.#options = options;
    this.#parts = parts;
    this.#resources = resources;
    this.#raters = new Raters(options.world, options);
  }

  static async open(options: OnlineOptions): Promise<OnlineLoop> {
    const resources = new Resources();
    const directory = await mkdtemp(join(tmpdir(), 'hone-online-'));
    resources.add(() => rm(directory, { recursive: true }));
    const shape: Shape = shapes[options.shape];
    const settings = checkLearnerSettings({ seed: options.seed, ...shape.settings, ...options.settings });
    const pkg = await loadPackage(options.packageDirectory);
    const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), settings.rank, settings.scale);
    const adapterDigest = digestAdapter(zero);
    const sampler = await OnlineSampler.open(pkg, zero, adapterDigest, options.maxTokens);
    resources.add(() => sampler.close());
    const path = join(directory, 'replay.sqlite');
    const store = await openReplayStore({ path });
    resources.add(() => store.close());
    const reader = openReplayReader(path);
    resources.add(async () => reader.close());
    const learner = await OnlineLearner.open(pkg, {
      settings,
      reader,
      directory: join(directory, 'learner'),
      adapterDigest,
    });
    resources.add(() => learner.close());
    return new OnlineLoop(options, { pkg, sampler, learner, store }, resources);
  }

  /** Goes on until `budget` scores and preferences have been given in all. A round that the last of them starts is done. */
  async spend(budget: number): Promise<void> {
    const { store } = this.#parts;
    while (this.#given < budget) {
      if (this.#due.length === 0) await this.#timed('generating', () => this.#serve(budget));
      const due = this.#due.slice(0, budget - this.#given);
      this.#waiting = this.#waiting.filter((feedback) => !due.includes(feedback));
      await store.write(due.map(({ write }) => write));
      this.#given += due.length;
      await this.#timed('learning', () => this.#learn());
    }
  }

  /** Judges the live version on the held-out posts: one completion each, drawn with the same seeds at every budget. */
  async evaluate(): Promise<OnlinePoint> {
    const { sampler, learner } = this.#parts;
    const { world, heldOutPosts, seed } = this.#options;
    const posts = Array.from({ length: heldOutPosts }, (_, n) => world.heldOutPost(n));
    const written = await this.#timed('evaluating', () =>
      sampler.complete(
        posts.map((post, n) => ({ promptTokens: this.#encode(post), seeds: [hashText(`held out ${seed} ${n}`)] })),
      ),
    );
    const completions = written.map(([completion]) => completion as Completion);
    return {
      scores: this.#given,
      reward: mean(completions.map(({ text }, n) => world.judge(posts[n] as string, text))),
      tokens: mean(completions.map(({ tokens }) => tokens.length)),
      version: sampler.live.version,
      steps: learner.steps,
      kl: learner.kl,
      setbacks: learner.setbacks,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }

  /** Feedback that arrives now. */
  get #due(): Feedback[] {
    return this.#waiting.filter(({ dueVersion }) => dueVersion <= this.#parts.sampler.live.version);
  }

  /** Asks for completions of new posts: as many as the next round is short of, if each score comes at once. */
  async #serve(budget: number): Promise<void> {
    const { sampler, learner } = this.#parts;
    const { world, seed } = this.#options;
    const { completions, feedback } = shapes[this.#options.shape];
    const left = Math.ceil((budget - this.#given) / (feedback === 'preference' ? 1 : completions));
    const count = Math.max(1, Math.min(left, Math.ceil(learner.missing / completions)));
    const posts = Array.from({ length: count }, () => {
      const post = world.trainingPost(seed, this.#posts);
      const seeds = Array.from({ length: completions }, (_, k) => hashText(`${seed} ${this.#posts} ${k}`));
      this.#posts += 1;
      return { post, seeds, promptTokens: this.#encode(post) };
    });
    const written = await sampler.complete(posts);
    const shown = await this.#keep(posts, written);
    const { version } = sampler.live;
    for (const completionsOfPost of shown) this.#waiting.push(...this.#raters.judge(completionsOfPost, version));
  }

  async #learn(): Promise<void> {
    const { learner, sampler } = this.#parts;
    const candidate = await learner.learn();
    if (candidate === null) return;
    const { adapter } = await readAdapter(candidate.directory);
    await sampler.swap(adapter, candidate.adapterDigest);
    learner.promote(candidate, sampler.live.version);
  }

  /** Writes completions into the store as the server does. */
  async #keep(
    posts: readonly { readonly post: string; readonly promptTokens: readonly number[] }[],
    written: readonly (readonly Completion[])[],
  ): Promise<Shown[][]> {
    const { pkg, sampler, store } = this.#parts;
    const { version, adapterDigest } = sampler.live;
    const shown = posts.map(({ post }, p) =>
      (written[p] ?? []).map((completion) => ({
        generationId: this.#newId(),
        post,
        text: completion.text,
        completion,
      })),
    );
    await store.admit(
      shown.flatMap((group, p) =>
        group.map(({ generationId, post }) => {
          const promptTokens = Uint32Array.from(posts[p]?.promptTokens ?? []);
          return {
            id: generationId,
            origin: 'sampled' as const,
            groupKey: groupKey(pkg.digest, promptTokens),
            packageDigest: pkg.digest,
            version,
            adapterDigest,
            promptTokens,
            promptJson: JSON.stringify(post),
            metadataJson: '{}',
            samplingJson: '{}',
            subject: '',
            createdAtMs: 0,
          };
        }),
      ),
    );
    await store.complete(
      shown.flat().map(({ generationId, text, completion }) => ({
        id: generationId,
        state: 'finished' as const,
        finishReason: completion.ended ? 'stop' : 'length',
        endOfSequence: completion.ended,
        tokens: Uint32Array.from(completion.tokens),
        text,
        logprobs: Float32Array.from(completion.logprobs),
        sampledLogprobs: Float32Array.from(completion.sampledLogprobs),
        finishedAtMs: 0,
      })),
    );
    return shown;
  }

  /** Ids that grow: their order decides who is first in a pair. */
  #newId(): string {
    this.#generations += 1;
    return uuidv7({ msecs: this.#generations, seq: 0, random: new Uint8Array(16) });
  }

  #encode(post: string): number[] {
    return this.#parts.pkg.tokenizer.encodeChat([{ role: 'user', content: post }]);
  }

  async #timed<Result>(part: keyof OnlineResult['seconds'], work: () => Promise<Result>): Promise<Result> {
    const startedMs = performance.now();
    const result = await work();
    this.seconds[part] += (performance.now() - startedMs) / 1000;
    return result;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
