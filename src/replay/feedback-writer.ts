/** Feedback on the writing connection: scores, preferences and edits, each item by itself. */

import type { Database } from '../sqlite/index.js';
import type { Counts } from './counts.js';
import { contentOf } from './idempotency.js';
import { outcomeCode, toBlob } from './rows.js';
import type {
  EditWrite,
  FeedbackOutcome,
  FeedbackWrite,
  PreferenceOutcome,
  PreferenceWrite,
  ScoreKey,
} from './types.js';

interface StoredKey {
  readonly generation_id: string;
  readonly content: string;
  readonly sequence: number;
  readonly result_id: string | null;
}

type Written = Exclude<FeedbackOutcome, { readonly status: 'refused' }>;
type Refusal = Extract<FeedbackOutcome, { readonly status: 'refused' }>;

export class FeedbackWriter {
  readonly #counts: Counts;
  readonly #generationExists;
  readonly #groupOf;
  readonly #findKey;
  readonly #insertKey;
  readonly #insertChange;
  readonly #scoredBefore;
  readonly #anyScore;
  readonly #upsertScore;
  readonly #deleteScore;
  readonly #preferenceExists;
  readonly #upsertPreference;
  readonly #deletePreference;
  readonly #findEdit;
  readonly #insertEdit;

  /** @param counts kept in step */
  constructor(database: Database, counts: Counts) {
    this.#counts = counts;
    // Answered by the index alone: rows of generations are long.
    this.#generationExists = database.prepareValue<[string], 1>('SELECT 1 FROM generations WHERE id = ?');
    this.#groupOf = database.prepareValue<[string], string>('SELECT group_key FROM generations WHERE id = ?');
    this.#findKey = database.prepare<[string], StoredKey>('SELECT * FROM idempotency WHERE key = ?');
    this.#insertKey = database.prepare(
      'INSERT INTO idempotency (key, generation_id, content, sequence, result_id) VALUES (?, ?, ?, ?, ?)',
    );
    this.#insertChange = database.prepare(
      'INSERT INTO changes (type, generation_id, other_id, rater, metric, value) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#scoredBefore = database.prepareValue<[string, string, string, string], 0 | 1 | 2>(`
        SELECT EXISTS (SELECT 1 FROM scores WHERE generation_id = ?)
          + EXISTS (SELECT 1 FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?)`);
    this.#anyScore = database.prepareValue<[string], 1>('SELECT 1 FROM scores WHERE generation_id = ? LIMIT 1');
    this.#upsertScore = database.prepare(`
      INSERT INTO scores (generation_id, rater, metric, value, created_at_ms, sequence) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (generation_id, rater, metric)
      DO UPDATE SET value = excluded.value, created_at_ms = excluded.created_at_ms, sequence = excluded.sequence`);
    this.#deleteScore = database.prepare('DELETE FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?');
    this.#preferenceExists = database.prepareValue<[string, string, string, string], 1>(
      'SELECT 1 FROM preferences WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?',
    );
    this.#upsertPreference = database.prepare(`
      INSERT INTO preferences (first_id, second_id, rater, metric, outcome, created_at_ms, sequence)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (first_id, second_id, rater, metric)
      DO UPDATE SET outcome = excluded.outcome, created_at_ms = excluded.created_at_ms, sequence = excluded.sequence`);
    this.#deletePreference = database.prepare(
      'DELETE FROM preferences WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?',
    );
    this.#findEdit = database.prepareValue<[string, string], string>(
      'SELECT id FROM generations WHERE edit_of = ? AND text = ?',
    );
    this.#insertEdit = database.prepare(`
      INSERT INTO generations (id, state, origin, edit_of, group_key, package_digest, version, adapter_digest, subject,
        created_at_ms, finished_at_ms, finish_reason, end_of_sequence, sampling_json, metadata_json, prompt_id, tokens,
        text)
      SELECT ?, 'finished', 'edit', id, group_key, package_digest, version, adapter_digest, subject,
        ?, ?, 'stop', 1, '{}', '{}', prompt_id, ?, ?
      FROM generations WHERE id = ?`);
  }

  /** Writes one item, or says why not; a refused one leaves no trace. */
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
        return this.#score(item, item.value, item.createdAtMs);
      case 'preference':
        return this.#preference(item);
      case 'edit':
        return this.#edit(item);
    }
  }

  #score({ generationId, rater, metric }: ScoreKey, value: number | null, createdAtMs: number): Written {
    // 0: the generation has no score, 1: others, 2: this one.
    const before = this.#scoredBefore.get(generationId, generationId, rater, metric);
    const existed = before === 2;
    const sequence = this.#change('score', generationId, null, rater, metric, value);
    if (value === null) {
      this.#deleteScore.run(generationId, rater, metric);
      if (existed) this.#scoreGone(generationId);
      return written('retracted', sequence);
    }
    if (!existed) {
      if (before === 0) this.#counts.scoredGenerations += 1;
      this.#counts.scores += 1;
    }
    this.#upsertScore.run(generationId, rater, metric, value, createdAtMs, sequence);
    return written(existed ? 'replaced' : 'stored', sequence);
  }

  #scoreGone(generationId: string): void {
    this.#counts.scores -= 1;
    if (this.#anyScore.get(generationId) === undefined) this.#counts.scoredGenerations -= 1;
  }

  #preference(item: PreferenceWrite): FeedbackOutcome {
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
    const existed = this.#preferenceExists.get(first, second, rater, metric) !== undefined;
    const sequence = this.#change('preference', first, second, rater, metric, code);
    if (code === null) {
      this.#deletePreference.run(first, second, rater, metric);
      if (existed) this.#counts.preferences -= 1;
      return written('retracted', sequence);
    }
    this.#upsertPreference.run(first, second, rater, metric, code, createdAtMs, sequence);
    if (!existed) this.#counts.preferences += 1;
    return written(existed ? 'replaced' : 'stored', sequence);
  }

  #edit({ id, generationId, rater, metric, text, tokens, value, createdAtMs }: EditWrite): FeedbackOutcome {
    let edit = this.#findEdit.get(generationId, text);
    if (edit === undefined) {
      edit = id;
      this.#insertEdit.run(id, createdAtMs, createdAtMs, toBlob(tokens), text, generationId);
      this.#counts.finished += 1;
      this.#counts.edits += 1;
      this.#change('generation', id, null, null, null, null);
    }
    return { ...this.#score({ generationId: edit, rater, metric }, value, createdAtMs), generationId: edit };
  }

  #change(
    type: string,
    id: string,
    other: string | null,
    rater: string | null,
    metric: string | null,
    value: number | null,
  ): number {
    return Number(this.#insertChange.run(type, id, other, rater, metric, value).lastInsertRowid);
  }
}

const opposite: Readonly<Record<PreferenceOutcome, PreferenceOutcome>> = {
  better: 'worse',
  worse: 'better',
  tie: 'tie',
};

function written(status: Written['status'], sequence: number, generationId: string | null = null): Written {
  return generationId === null ? { status, sequence } : { status, sequence, generationId };
}

function notFound(id: string): Refusal {
  return refused('GENERATION_NOT_FOUND', `no generation ${id} is stored`);
}

function refused(code: Refusal['code'], message: string): Refusal {
  return { status: 'refused', code, message };
}
