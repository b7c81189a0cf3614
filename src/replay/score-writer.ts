/** Writes and retracts scores, and keeps the counts correct. */

import type { Database } from '../sqlite/index.js';
import type { ChangeLog } from './change-log.js';
import type { Counts } from './counts.js';
import type { ExportHistory } from './export-history.js';
import { maxFeedbackOfGeneration, tooMuch, written } from './feedback-outcome.js';
import type { FeedbackOutcome, ScoreKey } from './types.js';

export class ScoreWriter {
  readonly #counts: Counts;
  readonly #changes: ChangeLog;
  readonly #history: Pick<ExportHistory, 'beforeScore'>;
  readonly #scoredBefore;
  readonly #anyScore;
  readonly #lastAllowed;
  readonly #upsert;
  readonly #delete;

  /**
   * @param counts updated with each score
   * @param history of open exports
   */
  constructor(database: Database, counts: Counts, changes: ChangeLog, history: Pick<ExportHistory, 'beforeScore'>) {
    this.#counts = counts;
    this.#changes = changes;
    this.#history = history;
    this.#scoredBefore = database.prepareValue<[string, string, string, string], 0 | 1 | 2>(`
        SELECT EXISTS (SELECT 1 FROM scores WHERE generation_id = ?)
          + EXISTS (SELECT 1 FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?)`);
    this.#anyScore = database.prepareValue<[string], 1>('SELECT 1 FROM scores WHERE generation_id = ? LIMIT 1');
    this.#lastAllowed = database.prepareValue<[string], 1>(
      `SELECT 1 FROM scores WHERE generation_id = ? LIMIT 1 OFFSET ${maxFeedbackOfGeneration - 1}`,
    );
    this.#upsert = database.prepare(`
      INSERT INTO scores (generation_id, rater, metric, value, created_at_ms, sequence) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (generation_id, rater, metric)
      DO UPDATE SET value = excluded.value, created_at_ms = excluded.created_at_ms, sequence = excluded.sequence`);
    this.#delete = database.prepare('DELETE FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?');
  }

  /** @param value `null` retracts the score */
  write({ generationId, rater, metric }: ScoreKey, value: number | null, createdAtMs: number): FeedbackOutcome {
    // 0: the generation has no score. 1: it has others. 2: it has this one.
    const before = this.#scoredBefore.get(generationId, generationId, rater, metric);
    const existed = before === 2;
    if (before === 1 && value !== null && this.#lastAllowed.get(generationId) !== undefined) {
      return tooMuch(generationId, 'scores');
    }
    if (existed) this.#history.beforeScore({ generationId, rater, metric });
    const sequence = this.#changes.append({ type: 'score', generationId, rater, metric, value });
    if (value === null) {
      this.#delete.run(generationId, rater, metric);
      if (existed) this.#countRetracted(generationId);
      return written('retracted', sequence);
    }
    if (!existed) {
      if (before === 0) this.#counts.scoredGenerations += 1;
      this.#counts.scores += 1;
    }
    this.#upsert.run(generationId, rater, metric, value, createdAtMs, sequence);
    return written(existed ? 'replaced' : 'stored', sequence);
  }

  #countRetracted(generationId: string): void {
    this.#counts.scores -= 1;
    if (this.#anyScore.get(generationId) === undefined) this.#counts.scoredGenerations -= 1;
  }
}
