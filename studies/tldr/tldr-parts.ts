/**
 * The parts of the `tldr` cells: posts, the default policy on one thread, and the reward model, which counts as the
 * truth.
 */

import { join } from 'node:path';
import { defaultPackage, projectRoot } from '../../bench/lib/project.js';
import { createPost, hashText } from '../../models/recipe/world/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../src/package/index.js';
import { openRewardModel } from '../../src/reward/index.js';
import { type Adapter, digestAdapter, zeroAdapter } from '../../src/versions/index.js';
import { type Completion, OnlineSampler } from '../online/online-sampler.js';

/** Longest completion; the policy's completions end long before. */
const maxTokens = 96;
/** First numbers of the posts: the policy and the reward model were trained on posts with smaller numbers. */
const firstTrainingPost = 3_000_000;
const firstHeldOutPost = 3_000_000;

type OfflinePost = { readonly text: string; readonly promptTokens: readonly number[] };

/** The training posts of a seed; no other seed uses them. */
export function trainingPosts(pkg: Package, seed: number, count: number): OfflinePost[] {
  return Array.from({ length: count }, (_, i) =>
    toPost(pkg, createPost(firstTrainingPost + seed * 100_000 + i, 'train').text),
  );
}

/** The held-out posts: the same for all methods, betas and seeds. */
export function heldOutPosts(pkg: Package, count: number): OfflinePost[] {
  return Array.from({ length: count }, (_, i) => toPost(pkg, createPost(firstHeldOutPost + i, 'held-out').text));
}

function toPost(pkg: Package, text: string): OfflinePost {
  return { text, promptTokens: pkg.tokenizer.encodeChat([{ role: 'user', content: text }]) };
}

export interface PolicyWithReward extends AsyncDisposable {
  readonly pkg: Package;
  /** Samples `perPost` completions of each post at temperature 1, with seeds derived from `salt`, and scores each. */
  sample(posts: readonly OfflinePost[], perPost: number, salt: string): Promise<Rewarded[][]>;
  /** Makes the policy serve these weights. */
  swap(adapter: Adapter): Promise<void>;
}

interface Rewarded extends Completion {
  /** The reward model's logit: on its training data it has mean 0 and standard deviation 0.95. */
  readonly reward: number;
}

/** The supervised policy of `models/tldr` and the reward model of `models/tldr-reward`. */
export async function openPolicyWithReward(rank: number, scale: number): Promise<PolicyWithReward> {
  const pkg = await loadPackage(defaultPackage);
  const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), rank, scale);
  const sampler = await OnlineSampler.open(pkg, zero, digestAdapter(zero), maxTokens);
  const rewardModel = await openRewardModel(join(projectRoot, 'models/tldr-reward'));
  return {
    pkg,
    async sample(posts, perPost, salt) {
      const asked = posts.map(({ promptTokens }, n) => ({
        promptTokens,
        seeds: Array.from({ length: perPost }, (_, k) => hashText(`${salt} ${n} ${k}`)),
      }));
      const written = await sampler.complete(asked);
      const items = written.flatMap((completions, n) =>
        completions.map(({ tokens, text }) => {
          const post = posts[n] as OfflinePost;
          const promptJson = JSON.stringify({ prompt: post.text });
          return { promptTokens: post.promptTokens, promptJson, tokens, text };
        }),
      );
      const rewards = await rewardModel.logits(items);
      return written.map((completions, n) =>
        completions.map((completion, k) => {
          const reward = rewards[n * perPost + k];
          if (typeof reward !== 'number')
            throw new Error(`the reward model cannot score this completion: ${completion.text}`);
          return { ...completion, reward };
        }),
      );
    },
    swap: (adapter) => sampler.swap(adapter, digestAdapter(adapter)),
    async [Symbol.asyncDispose]() {
      await sampler.close();
      await rewardModel.close();
    },
  };
}
