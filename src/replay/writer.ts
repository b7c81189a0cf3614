/**
 * The writes of the store, synchronous, on the one writing connection. Nothing here begins or ends a transaction:
 * the worker groups what is waiting into one commit, with a savepoint around each request.
 */

import type { Database } from 'better-sqlite3';
import { HoneError } from '../errors.js';
import { toBlob } from './rows.js';
import type { GenerationAdmission, GenerationCompletion, ScoreOutcome, ScoreWrite } from './types.js';

interface StoredKey {
  readonly generation_id: string;
  readonly rater: string;
  readonly metric: string;
  readonly value: number | null;
  readonly sequence: number;
}

export class ReplayWriter {
  readonly #database: Database;
  readonly #insertGeneration;
  readonly #finishGeneration;
  readonly #generationExists;
  readonly #insertChange;
  readonly #findKey;
  readonly #insertKey;
  readonly #scoreExists;
  readonly #upsertScore;
  readonly #deleteScore;

  constructor(database: Database) {
    this.#database = database;
    this.#insertGeneration = database.prepare(`
      INSERT INTO generations (id, state, group_key, package_digest, version, adapter_digest, subject, created_at_ms,
        sampling_json, prompt_json, prompt_tokens)
      VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#finishGeneration = database.prepare(`
      UPDATE generations SET state = ?, finish_reason = ?, end_of_sequence = ?, tokens = ?, text = ?, logprobs = ?,
        sampled_logprobs = ?, finished_at_ms = ?
      WHERE id = ? AND state = 'running'`);
    this.#generationExists = database.prepare<[string], 1>('SELECT 1 FROM generations WHERE id = ?').pluck();
    this.#insertChange = database.prepare(
      'INSERT INTO changes (type, generation_id, rater, metric, value) VALUES (?, ?, ?, ?, ?)',
    );
    this.#findKey = database.prepare<[string], StoredKey>('SELECT * FROM idempotency WHERE key = ?');
    this.#insertKey = database.prepare(
      'INSERT INTO idempotency (key, generation_id, rater, metric, value, sequence) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#scoreExists = database
      .prepare<[string, string, string], 1>('SELECT 1 FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?')
      .pluck();
    this.#upsertScore = database.prepare(`
      INSERT INTO scores (generation_id, rater, metric, value, created_at_ms, sequence) VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (generation_id, rater, metric)
      DO UPDATE SET value = excluded.value, created_at_ms = excluded.created_at_ms, sequence = excluded.sequence`);
    this.#deleteScore = database.prepare('DELETE FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?');
  }

  /** Marks what a dead process left running as aborted, so that it never trains. Returns how many there were. */
  abortRunning(nowMs: number): number {
    return this.#database
      .prepare(
        "UPDATE generations SET state = 'aborted', finish_reason = 'error', finished_at_ms = ? WHERE state = 'running'",
      )
      .run(nowMs).changes;
  }

  admit(generations: readonly GenerationAdmission[]): void {
    for (const g of generations) {
      if (this.#generationExists.get(g.id) !== undefined) {
        throw new HoneError('INTERNAL', `generation id ${g.id} was admitted before; ids must be new`);
      }
      this.#insertGeneration.run(
        g.id,
        g.groupKey,
        g.packageDigest,
        g.version,
        g.adapterDigest,
        g.subject,
        g.createdAtMs,
        g.samplingJson,
        g.promptJson,
        toBlob(g.promptTokens),
      );
    }
  }

  complete(generations: readonly GenerationCompletion[]): void {
    for (const g of generations) {
      if (g.logprobs.length !== g.tokens.length || g.sampledLogprobs.length !== g.tokens.length) {
        throw new HoneError(
          'INTERNAL',
          `generation ${g.id} has ${g.tokens.length} tokens but ${g.logprobs.length} and ${g.sampledLogprobs.length} log-probabilities`,
        );
      }
      const { changes } = this.#finishGeneration.run(
        g.state,
        g.finishReason,
        g.endOfSequence ? 1 : 0,
        toBlob(g.tokens),
        g.text,
        toBlob(g.logprobs),
        toBlob(g.sampledLogprobs),
        g.finishedAtMs,
        g.id,
      );
      if (changes === 0) throw new HoneError('GENERATION_NOT_FOUND', `no generation ${g.id} is running`);
      // Cancelled and aborted generations never train: to the learner nothing changed.
      if (g.state === 'finished') this.#change('generation', g.id, null, null, null);
    }
  }

  score(item: ScoreWrite): ScoreOutcome {
    const { generationId, rater, metric, value, idempotencyKey } = item;
    if (value !== null && !Number.isFinite(value)) {
      return refused('INVALID_REQUEST', `the score of generation ${generationId} is ${value}; it must be finite`);
    }
    if (idempotencyKey !== '') {
      const stored = this.#findKey.get(idempotencyKey);
      if (stored !== undefined) {
        const same =
          stored.generation_id === generationId &&
          stored.rater === rater &&
          stored.metric === metric &&
          stored.value === value;
        return same
          ? { status: 'duplicate', sequence: stored.sequence }
          : refused('IDEMPOTENCY_CONFLICT', `idempotency key ${idempotencyKey} was used for another score`);
      }
    }
    if (this.#generationExists.get(generationId) === undefined) {
      return refused('GENERATION_NOT_FOUND', `no generation ${generationId} is stored`);
    }
    const existed = this.#scoreExists.get(generationId, rater, metric) !== undefined;
    const sequence = this.#change('score', generationId, rater, metric, value);
    if (value === null) this.#deleteScore.run(generationId, rater, metric);
    else this.#upsertScore.run(generationId, rater, metric, value, item.createdAtMs, sequence);
    if (idempotencyKey !== '') this.#insertKey.run(idempotencyKey, generationId, rater, metric, value, sequence);
    return { status: value === null ? 'retracted' : existed ? 'replaced' : 'stored', sequence };
  }

  #change(type: string, id: string, rater: string | null, metric: string | null, value: number | null): number {
    return Number(this.#insertChange.run(type, id, rater, metric, value).lastInsertRowid);
  }
}

type Refusal = Extract<ScoreOutcome, { readonly status: 'refused' }>;

function refused(code: Refusal['code'], message: string): Refusal {
  return { status: 'refused', code, message };
}
