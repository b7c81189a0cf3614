/**
 * Finds stored scores outside the range of their metric. Feedback outside the range is refused, so they come from other
 * settings, or from an older Hone. They do not count, which has to be reported.
 */

import type { ReplayStore, ScoreBounds, ScoreExtremes } from '../../replay/index.js';
import type { RewardSettings } from '../../reward/index.js';
import { rangeOf } from '../../reward/range.js';

/** The scores of one metric outside its range. */
export interface ScoresOutside extends ScoreBounds, ScoreExtremes {
  readonly scores: number;
}

/** Most metrics that are reported, because callers choose their names. */
const mostMetrics = 100;

/** @throws HoneError if the store cannot be read */
export async function findScoresOutside(
  replay: Pick<ReplayStore, 'scoreExtremes' | 'countOutside'>,
  settings: RewardSettings,
): Promise<readonly ScoresOutside[]> {
  const suspects = (await replay.scoreExtremes())
    .map((extremes) => ({ ...extremes, ...rangeOf(settings, extremes.metric) }))
    .filter(({ smallest, largest, lowest, highest }) => smallest < lowest || largest > highest)
    .slice(0, mostMetrics);
  if (suspects.length === 0) return [];
  const counts = await replay.countOutside(
    suspects.map(({ metric, lowest, highest }) => ({ metric, lowest, highest })),
  );
  return suspects.map((suspect, i) => ({ ...suspect, scores: counts[i] ?? 0 }));
}

/** For people: how many scores do not count, and what to do about it. */
export function describeScoresOutside(found: readonly ScoresOutside[]): string {
  const parts = found.map(
    ({ metric, scores, smallest, largest, lowest, highest }) =>
      `${scores} on ${JSON.stringify(metric)} (stored are ${smallest} to ${largest}, its range is ${lowest} to ${highest})`,
  );
  return (
    `stored scores outside the range of their metric do not count: ${parts.join(', ')}; ` +
    'give the metric a range that holds them with --reward-settings, or send them again'
  );
}
