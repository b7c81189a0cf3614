/** Writes edits: each text becomes a generation of its own, with a score. */

import type { Database } from '../sqlite/index.js';
import type { ChangeLog } from './change-log.js';
import type { Counts } from './counts.js';
import type { ExportHistory } from './export-history.js';
import { toBlob } from './rows.js';
import type { ScoreWriter } from './score-writer.js';
import type { EditWrite, FeedbackOutcome } from './types.js';

export class EditWriter {
  readonly #counts: Counts;
  readonly #changes: ChangeLog;
  readonly #scores: ScoreWriter;
  readonly #history: ExportHistory;
  readonly #find;
  readonly #insert;

  /**
   * @param counts updated with each new edit
   * @param history of open exports
   */
  constructor(database: Database, counts: Counts, changes: ChangeLog, scores: ScoreWriter, history: ExportHistory) {
    this.#counts = counts;
    this.#changes = changes;
    this.#scores = scores;
    this.#history = history;
    this.#find = database.prepareValue<[string, string], string>(
      'SELECT id FROM generations WHERE edit_of = ? AND text = ?',
    );
    this.#insert = database.prepare(`
      INSERT INTO generations (id, state, origin, edit_of, group_key, package_digest, version, adapter_digest, subject,
        created_at_ms, finished_at_ms, finish_reason, end_of_sequence, sampling_json, metadata_json, prompt_id, tokens,
        text)
      SELECT ?, 'finished', 'edit', id, group_key, package_digest, version, adapter_digest, subject,
        ?, ?, 'stop', 1, '{}', '{}', prompt_id, ?, ?
      FROM generations WHERE id = ?`);
  }

  /** Writes the score of an edit, and the edit itself unless the same text is already stored. */
  write({ id, generationId, rater, metric, text, tokens, value, createdAtMs }: EditWrite): FeedbackOutcome {
    let edit = this.#find.get(generationId, text);
    if (edit === undefined) {
      edit = id;
      const { lastInsertRowid } = this.#insert.run(id, createdAtMs, createdAtMs, toBlob(tokens), text, generationId);
      this.#history.stored(id, Number(lastInsertRowid));
      this.#counts.finished += 1;
      this.#counts.edits += 1;
      this.#changes.append({ type: 'generation', generationId: id });
    }
    const outcome = this.#scores.write({ generationId: edit, rater, metric }, value, createdAtMs);
    return outcome.status === 'refused' ? outcome : { ...outcome, generationId: edit };
  }
}
