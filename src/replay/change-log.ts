/** Appends to the table `changes`, which tells the learner what is new. */

import type { Database } from '../sqlite/index.js';

/** The columns of one change; the types are those of `ReplayChange`. */
export interface ChangeFields {
  readonly type: 'generation' | 'score' | 'preference';
  readonly generationId: string;
  readonly otherId?: string;
  readonly rater?: string;
  readonly metric?: string;
  readonly value?: number | null;
}

export class ChangeLog {
  readonly #insert;

  constructor(database: Database) {
    this.#insert = database.prepare(
      'INSERT INTO changes (type, generation_id, other_id, rater, metric, value) VALUES (?, ?, ?, ?, ?, ?)',
    );
  }

  /** Appends one change; returns its sequence number. */
  append({ type, generationId, otherId, rater, metric, value }: ChangeFields): number {
    const { lastInsertRowid } = this.#insert.run(
      type,
      generationId,
      otherId ?? null,
      rater ?? null,
      metric ?? null,
      value ?? null,
    );
    return Number(lastInsertRowid);
  }
}
