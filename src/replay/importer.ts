/** Writes records of an export into the store, each completely or not at all. */

import { isDeepStrictEqual } from 'node:util';
import type { Database } from '../sqlite/index.js';
import type { Counts } from './counts.js';
import type { ExportHistory } from './export-history.js';
import type { FeedbackWriter } from './feedback-writer.js';
import { formatRecord, type ReplayRecord } from './record.js';
import { type GenerationRow, generationColumns, outcomeCode, toBlob, toGeneration } from './rows.js';
import type { Generation, GenerationAdmission, Preference, PreferenceOutcome, Score } from './types.js';

/** The outcome of one record. `skipped`: the store already holds the same. */
export type ImportOutcome =
  | { readonly status: 'imported' | 'skipped' }
  | {
      readonly status: 'refused';
      readonly code: 'RECORD_CONFLICT' | 'GENERATION_NOT_FOUND' | 'INVALID_REQUEST' | 'IDEMPOTENCY_CONFLICT';
      readonly message: string;
    };

type PromptOf = (prompt: Pick<GenerationAdmission, 'groupKey' | 'promptTokens' | 'promptJson'>) => number;

interface StoredPreference {
  readonly outcome: number;
  readonly created_at_ms: number;
}

export class Importer {
  readonly #counts: Counts;
  readonly #feedback: FeedbackWriter;
  readonly #history: ExportHistory;
  readonly #promptOf: PromptOf;
  readonly #find;
  readonly #insert;
  readonly #insertChange;
  readonly #score;
  readonly #preference;

  /**
   * @param counts updated with each record
   * @param history of open exports
   * @param promptOf finds or writes a prompt; returns its row id
   */
  constructor(
    database: Database,
    counts: Counts,
    feedback: FeedbackWriter,
    history: ExportHistory,
    promptOf: PromptOf,
  ) {
    this.#counts = counts;
    this.#feedback = feedback;
    this.#history = history;
    this.#promptOf = promptOf;
    this.#find = database.prepare<[string], GenerationRow>(
      `SELECT ${generationColumns} FROM generations JOIN prompts ON prompts.id = prompt_id WHERE generations.id = ?`,
    );
    this.#insert = database.prepare(`
      INSERT INTO generations (id, state, origin, edit_of, group_key, package_digest, version, adapter_digest, subject,
        created_at_ms, finished_at_ms, finish_reason, end_of_sequence, sampling_json, metadata_json, prompt_id, tokens,
        text, logprobs, sampled_logprobs)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#insertChange = database.prepare("INSERT INTO changes (type, generation_id) VALUES ('generation', ?)");
    this.#score = database.prepare<[string, string, string], { value: number; created_at_ms: number }>(
      'SELECT value, created_at_ms FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?',
    );
    this.#preference = database.prepare<[string, string, string, string], StoredPreference>(`
      SELECT outcome, created_at_ms FROM preferences
      WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?`);
  }

  import(record: ReplayRecord): ImportOutcome {
    switch (record.type) {
      case 'generation':
        return this.#importGeneration(record.generation);
      case 'score':
        return this.#importScore(record.score);
      case 'preference':
        return this.#importPreference(record.preference);
    }
  }

  #importGeneration(g: Generation): ImportOutcome {
    const found = this.#find.get(g.id);
    if (found !== undefined) {
      if (isSame(toGeneration(found), g)) return { status: 'skipped' };
      return conflict(`generation ${g.id} is already stored with other content`);
    }
    const { lastInsertRowid } = this.#insert.run(
      g.id,
      g.state,
      g.origin,
      g.editOf,
      g.groupKey,
      g.packageDigest,
      g.version,
      g.adapterDigest,
      g.subject,
      g.createdAtMs,
      g.finishedAtMs,
      g.finishReason,
      g.endOfSequence ? 1 : 0,
      g.samplingJson,
      g.metadataJson,
      this.#promptOf(g),
      toBlob(g.tokens),
      g.text,
      toBlob(g.logprobs),
      toBlob(g.sampledLogprobs),
    );
    this.#history.stored(g.id, Number(lastInsertRowid));
    this.#counts[g.state] += 1;
    if (g.editOf !== null) this.#counts.edits += 1;
    if (g.state === 'finished') this.#insertChange.run(g.id);
    return { status: 'imported' };
  }

  #importScore(score: Omit<Score, 'sequence'>): ImportOutcome {
    const { generationId, rater, metric, value, createdAtMs } = score;
    const found = this.#score.get(generationId, rater, metric);
    if (found !== undefined) {
      if (found.value === value && found.created_at_ms === createdAtMs) return { status: 'skipped' };
      return conflict(`the store holds another score of ${rater} for generation ${generationId} on ${metric}`);
    }
    return imported(this.#feedback.write({ type: 'score', ...score, idempotencyKey: '' }));
  }

  #importPreference(preference: Omit<Preference, 'sequence'>): ImportOutcome {
    const { generationId, otherId, rater, metric, outcome, createdAtMs } = preference;
    const swapped = otherId < generationId;
    const [first, second] = swapped ? [otherId, generationId] : [generationId, otherId];
    const found = this.#preference.get(first, second, rater, metric);
    if (found !== undefined) {
      const code = swapped ? -outcomeCode(outcome) : outcomeCode(outcome satisfies PreferenceOutcome);
      if (found.outcome === code && found.created_at_ms === createdAtMs) return { status: 'skipped' };
      return conflict(
        `the store holds another preference of ${rater} between generations ${first} and ${second} on ${metric}`,
      );
    }
    return imported(this.#feedback.write({ type: 'preference', ...preference, idempotencyKey: '' }));
  }
}

/**
 * Two generations are the same if an export writes the same values for both. The order of keys, and how a number is
 * written, make no difference.
 */
function isSame(a: Generation, b: Generation): boolean {
  const [one, other] = [a, b].map((generation) => formatRecord({ type: 'generation', generation }));
  return one === other || isDeepStrictEqual(JSON.parse(one ?? ''), JSON.parse(other ?? ''));
}

function imported(outcome: ReturnType<FeedbackWriter['write']>): ImportOutcome {
  return outcome.status === 'refused' ? outcome : { status: 'imported' };
}

function conflict(message: string): ImportOutcome {
  return { status: 'refused', code: 'RECORD_CONFLICT', message };
}
