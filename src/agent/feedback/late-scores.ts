/**
 * Counts scores that come after their metric's window, in the background and for the metrics only: the fold of rewards
 * checks by itself. A generation's id holds the time of its admission, so only generations that can be late are read.
 */

import type { ReplayStore, ScoreWrite } from '../../replay/index.js';
import { metricOf, type RewardSettings } from '../../reward/settings.js';
import type { Meter } from '../meter.js';

export interface LateScoresOptions {
  readonly replay: Pick<ReplayStore, 'readGenerations'>;
  readonly reward: RewardSettings;
  readonly meter: Meter;
}

export class LateScores {
  readonly #options: LateScoresOptions;

  constructor(options: LateScoresOptions) {
    this.#options = options;
  }

  /** Counts the late ones of scores that were written. */
  count(scores: readonly ScoreWrite[]): void {
    const { meter, replay } = this.#options;
    const suspects = scores.filter((score) => this.#isLate(score, admittedAtMs(score.generationId)));
    if (suspects.length === 0 || meter.late === undefined) return;
    const ids = [...new Set(suspects.map(({ generationId }) => generationId))];
    replay.readGenerations(ids).then(
      (generations) => {
        const ends = new Map(generations.map(({ id, finishedAtMs }) => [id, finishedAtMs ?? Number.POSITIVE_INFINITY]));
        const late = suspects.filter((score) => this.#isLate(score, ends.get(score.generationId)));
        if (late.length > 0) meter.late?.(late.length);
      },
      // The store is busy or closing. The figure is not worth an error.
      () => undefined,
    );
  }

  #isLate({ metric, createdAtMs }: ScoreWrite, fromMs = Number.POSITIVE_INFINITY): boolean {
    const { windowMs } = metricOf(this.#options.reward, metric);
    return windowMs !== null && createdAtMs >= fromMs + windowMs;
  }
}

/** The time in a UUIDv7, milliseconds since 1970. */
function admittedAtMs(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
