/** Removes generations with everything that depends on them, and keeps the counts correct. */

import { type Database, type WholeText, whole, wholeText } from '../sqlite/index.js';
import type { Counts } from './counts.js';

/** How much was removed. */
export interface Removed {
  generations: number;
  scores: number;
  preferences: number;
  prompts: number;
}

interface Found {
  readonly state: 'running' | 'finished' | 'cancelled' | 'aborted';
  readonly edit_of: string | null;
  readonly prompt_id: number;
}

/** Changes, or idempotency keys, that one step looks at. */
const tracesPerStep = 2000;

export class Remover {
  readonly #counts: Counts;
  readonly #onRunningRemoved: (id: string) => void;
  readonly #find;
  readonly #countScores;
  readonly #partners;
  readonly #lastKeyOf;
  readonly #deleteKeys;
  readonly #deleteGeneration;
  readonly #deletePrompt;
  readonly #firstSequence;
  readonly #lastSequence;
  readonly #dangling;
  readonly #deleteChange;
  readonly #insertRemoved;

  /**
   * @param counts updated with each removal
   * @param onRunningRemoved called for each generation that had not ended, because its completion must then be dropped
   */
  constructor(database: Database, counts: Counts, onRunningRemoved: (id: string) => void) {
    this.#counts = counts;
    this.#onRunningRemoved = onRunningRemoved;
    this.#find = database.prepare<[string], Found>('SELECT state, edit_of, prompt_id FROM generations WHERE id = ?');
    this.#countScores = database.prepareValue<[string], number>('SELECT count(*) FROM scores WHERE generation_id = ?');
    this.#partners = database.prepareValue<[string, string], string>(
      'SELECT second_id FROM preferences WHERE first_id = ? UNION ALL SELECT first_id FROM preferences WHERE second_id = ?',
    );
    this.#lastKeyOf = database.prepareValue<[string, number], WholeText | null>(
      `SELECT ${whole('max(key)', 'last')} FROM (SELECT key FROM idempotency WHERE key > ? ORDER BY key LIMIT ?)`,
    );
    this.#deleteKeys = database.prepare(`
      DELETE FROM idempotency
      WHERE key > ? AND key <= ? AND (
        NOT EXISTS (SELECT 1 FROM generations WHERE id = generation_id)
        OR result_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM generations WHERE id = result_id)
        OR content LIKE '["preference"%' AND NOT EXISTS (
          SELECT 1 FROM generations WHERE id = json_extract(content, '$[3]')))`);
    // Scores, preferences and lessons are deleted with it: the schema cascades.
    this.#deleteGeneration = database.prepare('DELETE FROM generations WHERE id = ?');
    this.#deletePrompt = database.prepare(
      'DELETE FROM prompts WHERE id = ? AND NOT EXISTS (SELECT 1 FROM generations WHERE prompt_id = prompts.id)',
    );
    this.#firstSequence = database.prepareValue<[number], number | null>(
      'SELECT min(sequence) FROM changes WHERE sequence > ?',
    );
    this.#lastSequence = database.prepareValue<[], number | null>('SELECT max(sequence) FROM changes');
    this.#dangling = database.prepareValue<[number, number], number>(`
        SELECT sequence FROM changes
        WHERE sequence BETWEEN ? AND ? AND (type = 'removed'
          OR NOT EXISTS (SELECT 1 FROM generations WHERE id = generation_id)
          OR other_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM generations WHERE id = other_id))`);
    this.#deleteChange = database.prepare('DELETE FROM changes WHERE sequence = ?');
    this.#insertRemoved = database.prepare("INSERT INTO changes (type) VALUES ('removed')");
  }

  /** Removes one generation, and its prompt if no other generation has it. Adds to `removed`. */
  remove(id: string, removed: Removed): void {
    const found = this.#find.get(id);
    if (found === undefined) return;
    const scores = this.#countScores.get(id) ?? 0;
    const partners = this.#partners.all(id, id);
    this.#deleteGeneration.run(id);
    const prompts = this.#deletePrompt.run(found.prompt_id).changes;
    const counts = this.#counts;
    counts[found.state] -= 1;
    if (found.edit_of !== null) counts.edits -= 1;
    counts.scores -= scores;
    if (scores > 0) counts.scoredGenerations -= 1;
    counts.preferences -= partners.length;
    if (found.state === 'running') this.#onRunningRemoved(id);
    removed.generations += 1;
    removed.scores += scores;
    removed.preferences += partners.length;
    removed.prompts += prompts;
  }

  /**
   * Deletes the changes and the idempotency keys of removed generations, in steps, and then appends a `removed` change for
   * the readers. Neither table has an index by generation, so this is one pass over each of them. It also finds what an
   * interrupted pass left.
   */
  *forgetTraces(): Generator<void, void> {
    yield* this.#forgetKeys();
    const last = this.#lastSequence.get() ?? 0;
    let from = this.#firstSequence.get(0) ?? last + 1;
    while (from <= last) {
      const to = Math.min(last, from + tracesPerStep - 1);
      for (const sequence of this.#dangling.all(from, to)) this.#deleteChange.run(sequence);
      // Skips the gaps that earlier deletions left in the numbers.
      from = this.#firstSequence.get(to) ?? last + 1;
      yield;
    }
    this.#insertRemoved.run();
  }

  *#forgetKeys(): Generator<void, void> {
    for (let from = ''; ; ) {
      const last = this.#lastKeyOf.get(from, tracesPerStep);
      if (last === undefined || last === null) return;
      const to = wholeText(last);
      this.#deleteKeys.run(from, to);
      from = to;
      yield;
    }
  }
}

export function nothingRemoved(): Removed {
  return { generations: 0, scores: 0, preferences: 0, prompts: 0 };
}
