/**
 * Draws the data of a seed: two completions of the supervised policy for each post, their rewards, and which is
 * preferred.
 */

import { createRandom } from '../../models/recipe/world/index.js';
import { openPolicyWithReward, trainingPosts } from './tldr-parts.js';

export interface PairsInput {
  readonly seed: number;
  readonly pairs: number;
}

export interface OfflinePair {
  readonly promptTokens: readonly number[];
  /** Completions in tokens. */
  readonly completions: readonly [readonly number[], readonly number[]];
  readonly rewards: readonly [number, number];
  /** Drawn from Bradley-Terry on the rewards: sigmoid(R - R') for the first. */
  readonly firstPreferred: boolean;
}

export async function runCell({ seed, pairs }: PairsInput): Promise<readonly OfflinePair[]> {
  await using policy = await openPolicyWithReward(1, 1);
  const posts = trainingPosts(policy.pkg, seed, pairs);
  const sampled = await policy.sample(posts, 2, `offline pairs ${seed}`);
  const random = createRandom(seed, 'offline preferences');
  return posts.map(({ promptTokens }, n) => {
    const [first, second] = sampled[n] as [(typeof sampled)[0][0], (typeof sampled)[0][0]];
    return {
      promptTokens,
      completions: [first.tokens, second.tokens],
      rewards: [first.reward, second.reward],
      firstPreferred: random.chance(1 / (1 + Math.exp(second.reward - first.reward))),
    };
  });
}
