/**
 * Writes and retracts preferences. The store keeps each pair once, with the smaller id first, whichever of the two the
 * rater names first.
 */

import type { Database } from '../sqlite/index.js';
import type { ChangeLog } from './change-log.js';
import type { Counts } from './counts.js';
import type { ExportHistory } from './export-history.js';
import { maxFeedbackOfGeneration, notFound, refused, tooMuch, written } from './feedback-outcome.js';
import { outcomeCode } from './rows.js';
import type { FeedbackOutcome, PreferenceOutcome, PreferenceWrite } from './types.js';

const opposite: Readonly<Record<PreferenceOutcome, PreferenceOutcome>> = {
  better: 'worse',
  worse: 'better',
  tie: 'tie',
};

export class PreferenceWriter {
  readonly #counts: Counts;
  readonly #changes: ChangeLog;
  readonly #history: Pick<ExportHistory, 'beforePreference'>;
  readonly #groupOf;
  readonly #exists;
  readonly #lastAllowed;
  readonly #upsert;
  readonly #delete;

  /**
   * @param counts updated with each preference
   * @param history of open exports
   */
  constructor(
    database: Database,
    counts: Counts,
    changes: ChangeLog,
    history: Pick<ExportHistory, 'beforePreference'>,
  ) {
    this.#counts = counts;
    this.#changes = changes;
    this.#history = history;
    this.#groupOf = database.prepareValue<[string], string>('SELECT group_key FROM generations WHERE id = ?');
    this.#exists = database.prepareValue<[string, string, string, string], 1>(
      'SELECT 1 FROM preferences WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?',
    );
    // Pairs that name the generation first and second are counted apart, each by its index.
    const last = `LIMIT 1 OFFSET ${maxFeedbackOfGeneration - 1}`;
    this.#lastAllowed = {
      asFirst: database.prepareValue<[string], 1>(`SELECT 1 FROM preferences WHERE first_id = ? ${last}`),
      asSecond: database.prepareValue<[string], 1>(`SELECT 1 FROM preferences WHERE second_id = ? ${last}`),
    };
    this.#upsert = database.prepare(`
      INSERT INTO preferences (first_id, second_id, rater, metric, outcome, created_at_ms, sequence)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (first_id, second_id, rater, metric)
      DO UPDATE SET outcome = excluded.outcome, created_at_ms = excluded.created_at_ms, sequence = excluded.sequence`);
    this.#delete = database.prepare(
      'DELETE FROM preferences WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?',
    );
  }

  /** The caller has checked that `generationId` exists. */
  write(item: PreferenceWrite): FeedbackOutcome {
    const { generationId, otherId, rater, metric, outcome, createdAtMs } = item;
    const otherGroup = this.#groupOf.get(otherId);
    if (otherGroup === undefined) return { ...notFound(otherId), other: true };
    const wrong =
      otherId === generationId
        ? `generation ${otherId} is compared with itself`
        : otherGroup !== this.#groupOf.get(generationId)
          ? `generations ${generationId} and ${otherId} complete different prompts`
          : undefined;
    if (wrong !== undefined) return { ...refused('INVALID_REQUEST', wrong), other: true };
    const swapped = otherId < generationId;
    const first = swapped ? otherId : generationId;
    const second = swapped ? generationId : otherId;
    const code = outcome === null ? null : outcomeCode(swapped ? opposite[outcome] : outcome);
    const existed = this.#exists.get(first, second, rater, metric) !== undefined;
    if (!existed && code !== null) {
      if (this.#lastAllowed.asFirst.get(first) !== undefined) return tooMuch(first, 'preferences');
      if (this.#lastAllowed.asSecond.get(second) !== undefined) return tooMuch(second, 'preferences');
    }
    if (existed) this.#history.beforePreference(first, second, rater, metric);
    const sequence = this.#changes.append({
      type: 'preference',
      generationId: first,
      otherId: second,
      rater,
      metric,
      value: code,
    });
    if (code === null) {
      this.#delete.run(first, second, rater, metric);
      if (existed) this.#counts.preferences -= 1;
      return written('retracted', sequence);
    }
    this.#upsert.run(first, second, rater, metric, code, createdAtMs, sequence);
    if (!existed) this.#counts.preferences += 1;
    return written(existed ? 'replaced' : 'stored', sequence);
  }
}
