/** Reads the rewards of generations: folds their scores from the store. */

import type { ReplayStore, Score } from '../../replay/index.js';
import { foldReward } from '../../reward/fold.js';
import type { RewardSettings } from '../../reward/index.js';

/** The present reward of a generation. */
export interface ReadReward {
  readonly id: string;
  /** From 0 to 1; `null` if there is none yet, or no score counts. */
  readonly reward: number | null;
  /** Time to read again, milliseconds since 1970; `null` if only a new score can change the reward. */
  readonly pendingUntilMs: number | null;
}

/** One per generation, in order. */
export type ReadRewards = (
  generations: readonly { readonly id: string; readonly finishedAtMs: number | null }[],
) => Promise<ReadReward[]>;

/** @param now milliseconds since 1970 */
export function rewardsOf(
  replay: Pick<ReplayStore, 'readScores'>,
  settings: RewardSettings,
  now: () => number,
): ReadRewards {
  return async (generations) => {
    const byGeneration = new Map<string, Score[]>(generations.map(({ id }) => [id, []]));
    for (const score of await replay.readScores([...byGeneration.keys()])) {
      byGeneration.get(score.generationId)?.push(score);
    }
    const nowMs = now();
    return generations.map(({ id, finishedAtMs }) => {
      const { reward, pendingUntilMs } = foldReward(byGeneration.get(id) ?? [], { finishedAtMs, nowMs }, settings);
      return { id, reward, pendingUntilMs };
    });
  };
}

/** Whether a generation without a score may have a reward, by the default of a metric. */
export function hasDefaults(settings: RewardSettings): boolean {
  return Object.values(settings.metrics).some((metric) => metric.default !== null);
}
