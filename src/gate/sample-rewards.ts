/** Lets a reward model score the samples of versions. */

import type { RewardModel } from '../reward/index.js';
import { type DrawnCompletion, stopIfAborted } from './background.js';
import type { GatePrompt } from './prompts.js';

/** A finite score, or `null` if the model gave none. */
export type SampleReward = number | null;

/** Returns the rewards of the samples of each version, by prompt. */
export async function rewardSamples(
  signal: AbortSignal,
  model: RewardModel,
  prompts: readonly GatePrompt[],
  versions: readonly (readonly DrawnCompletion[][])[],
): Promise<SampleReward[][][]> {
  const result: SampleReward[][][] = [];
  for (const drawn of versions) {
    stopIfAborted(signal);
    const items = drawn.flatMap((samples, p) => {
      const { promptTokens, promptJson } = prompts[p] as GatePrompt;
      return samples.map(({ tokens, text }) => ({ promptTokens: [...promptTokens], promptJson, tokens, text }));
    });
    const scores = items.length === 0 ? [] : await model.score(items);
    let next = 0;
    result.push(drawn.map((samples) => samples.map(() => finiteOrNull(scores[next++]))));
  }
  return result;
}

function finiteOrNull(score: SampleReward | undefined): SampleReward {
  return typeof score === 'number' && Number.isFinite(score) ? score : null;
}
