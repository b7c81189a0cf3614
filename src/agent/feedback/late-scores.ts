/**
 * Counts scores that come after their metric's window: for those who watch, since the fold looks for itself. Nobody
 * waits for it. A generation's id tells when it was admitted, so that only those that can be late are looked up.
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

  /** Of scores that were written. */
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
      // A store that is busy or closing answers for itself; a figure is not worth more.
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
