/** What generations are worth now: their scores from the store, folded. */

import type { ReplayStore, Score } from '../../replay/index.js';
import { foldReward } from '../../reward/fold.js';
import type { RewardSettings } from '../../reward/index.js';

/** A generation's reward as of now. */
export interface ReadReward {
  readonly id: string;
  /** From 0 to 1; `null`: none yet, or nothing counts. */
  readonly reward: number | null;
  /** When to look again, milliseconds since 1970; `null`: when a score comes. */
  readonly pendingUntilMs: number | null;
}

/** One per generation, in order. */
export type ReadRewards = (
  generations: readonly { readonly id: string; readonly finishedAtMs: number | null }[],
) => Promise<ReadReward[]>;

/** Reads rewards from the store. @param now milliseconds since 1970 */
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

/** Whether a generation that nobody scores may have a reward all the same. */
export function hasDefaults(settings: RewardSettings): boolean {
  return Object.values(settings.metrics).some((metric) => metric.default !== null);
}
