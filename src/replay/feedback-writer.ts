/**
 * Writes feedback on the writing connection, each item independently of the others. An item that repeats an idempotency
 * key is not written again: it gets the first answer if it is the same feedback, and is refused otherwise.
 */

import type { Database } from '../sqlite/index.js';
import { ChangeLog } from './change-log.js';
import type { Counts } from './counts.js';
import { EditWriter } from './edit-writer.js';
import type { ExportHistory } from './export-history.js';
import { notFound, refused, written } from './feedback-outcome.js';
import { contentOf } from './idempotency.js';
import { PreferenceWriter } from './preference-writer.js';
import { ScoreWriter } from './score-writer.js';
import type { FeedbackOutcome, FeedbackWrite } from './types.js';

interface StoredKey {
  readonly generation_id: string;
  readonly content: string;
  readonly sequence: number;
  readonly result_id: string | null;
}

export class FeedbackWriter {
  readonly #scores: ScoreWriter;
  readonly #preferences: PreferenceWriter;
  readonly #edits: EditWriter;
  readonly #generationExists;
  readonly #findKey;
  readonly #insertKey;

  /**
   * @param counts updated with each item
   * @param history of open exports
   */
  constructor(database: Database, counts: Counts, history: ExportHistory) {
    const changes = new ChangeLog(database);
    this.#scores = new ScoreWriter(database, counts, changes, history);
    this.#preferences = new PreferenceWriter(database, counts, changes, history);
    this.#edits = new EditWriter(database, counts, changes, this.#scores, history);
    // The index alone answers this query, which matters because rows of generations are long.
    this.#generationExists = database.prepareValue<[string], 1>('SELECT 1 FROM generations WHERE id = ?');
    this.#findKey = database.prepare<[string], StoredKey>('SELECT * FROM idempotency WHERE key = ?');
    this.#insertKey = database.prepare(
      'INSERT INTO idempotency (key, generation_id, content, sequence, result_id) VALUES (?, ?, ?, ?, ?)',
    );
  }

  /** Writes one item, or returns why it is refused; a refused item changes nothing. */
  write(item: FeedbackWrite): FeedbackOutcome {
    if (item.type !== 'preference' && item.value !== null && !Number.isFinite(item.value)) {
      return refused(
        'INVALID_REQUEST',
        `the score of generation ${item.generationId} is ${item.value}; it must be finite`,
      );
    }
    const content = item.idempotencyKey === '' ? '' : contentOf(item);
    const stored = item.idempotencyKey === '' ? undefined : this.#findKey.get(item.idempotencyKey);
    if (stored !== undefined) {
      const same = stored.generation_id === item.generationId && stored.content === content;
      if (same) return written('duplicate', stored.sequence, stored.result_id);
      return refused('IDEMPOTENCY_CONFLICT', `idempotency key ${item.idempotencyKey} was used for other feedback`);
    }
    if (this.#generationExists.get(item.generationId) === undefined) return notFound(item.generationId);
    const outcome = this.#writeNew(item);
    if (outcome.status !== 'refused' && item.idempotencyKey !== '') {
      const { sequence, generationId = null } = outcome;
      this.#insertKey.run(item.idempotencyKey, item.generationId, content, sequence, generationId);
    }
    return outcome;
  }

  #writeNew(item: FeedbackWrite): FeedbackOutcome {
    switch (item.type) {
      case 'score':
        return this.#scores.write(item, item.value, item.createdAtMs);
      case 'preference':
        return this.#preferences.write(item);
      case 'edit':
        return this.#edits.write(item);
    }
  }
}
