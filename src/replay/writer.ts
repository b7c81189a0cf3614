/**
 * The writes of the store, synchronous, on the one writing connection. They neither begin nor end a transaction;
 * `group-commit.ts` does.
 */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { type Counts, countAll } from './counts.js';
import type { ExportHistory } from './export-history.js';
import { FeedbackWriter } from './feedback-writer.js';
import { Importer, type ImportOutcome } from './importer.js';
import { promptDigest } from './prompt-digest.js';
import type { ReplayRecord } from './record.js';
import { Remover } from './removal.js';
import { toBlob } from './rows.js';
import type { FeedbackOutcome, FeedbackWrite, GenerationAdmission, GenerationCompletion, Lesson } from './types.js';

export class ReplayWriter {
  readonly #database: Database;
  readonly #counts: Counts;
  readonly #feedback: FeedbackWriter;
  readonly #findPrompt;
  readonly #insertPrompt;
  readonly #insertGeneration;
  readonly #finishGeneration;
  readonly #generationExists;
  readonly #insertChange;
  readonly #history: ExportHistory;
  readonly #insertLesson;
  /** Generations that were removed while they ran; their completions are dropped. */
  readonly #removedRunning = new Set<string>();
  readonly #importer: Importer;
  readonly #openedAtMs: number;
  #prepared = false;
  readonly remover: Remover;

  /**
   * @param history of open exports
   * @param nowMs when the store was opened, milliseconds since 1970
   */
  constructor(database: Database, history: ExportHistory, nowMs: number) {
    this.#database = database;
    this.#history = history;
    this.#openedAtMs = nowMs;
    this.#counts = countAll(database);
    this.#feedback = new FeedbackWriter(database, this.#counts, history);
    this.remover = new Remover(database, this.#counts, (id) => this.#removedRunning.add(id));
    this.#importer = new Importer(database, this.#counts, this.#feedback, history, (prompt) => this.#promptOf(prompt));
    this.#findPrompt = database.prepareValue<[Uint8Array], number>('SELECT id FROM prompts WHERE digest = ?');
    this.#insertPrompt = database.prepare('INSERT INTO prompts (digest, prompt_tokens, prompt_json) VALUES (?, ?, ?)');
    this.#insertGeneration = database.prepare(`
      INSERT INTO generations (id, state, origin, group_key, package_digest, version, adapter_digest, subject,
        created_at_ms, sampling_json, metadata_json, prompt_id)
      VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#finishGeneration = database.prepare(`
      UPDATE generations SET state = ?, finish_reason = ?, end_of_sequence = ?, tokens = ?, text = ?, logprobs = ?,
        sampled_logprobs = ?, finished_at_ms = ?
      WHERE id = ? AND state = 'running'`);
    this.#generationExists = database.prepareValue<[string], 1>('SELECT 1 FROM generations WHERE id = ?');
    this.#insertChange = database.prepare("INSERT INTO changes (type, generation_id) VALUES ('generation', ?)");
    this.#insertLesson = database.prepare(`
      INSERT OR IGNORE INTO lessons (generation_id, version)
      SELECT id, ? FROM generations WHERE id = ?`);
  }

  /** A copy of the counts. If a transaction is undone, {@link restoreCounts} takes it back. */
  counts(): Counts {
    return { ...this.#counts };
  }

  restoreCounts(counts: Counts): void {
    Object.assign(this.#counts, counts);
  }

  /**
   * Marks the generations that a dead process left running as aborted, so that they never train. It must have succeeded
   * before the first write. The first call that succeeds does it; a full disk, or another program's lock, can make
   * earlier ones throw.
   */
  prepare(): void {
    if (this.#prepared) return;
    const { changes } = this.#database.transaction('immediate', () =>
      this.#database
        .prepare(
          "UPDATE generations SET state = 'aborted', finish_reason = 'error', finished_at_ms = ? WHERE state = 'running'",
        )
        .run(this.#openedAtMs),
    );
    this.#prepared = true;
    this.#counts.running -= changes;
    this.#counts.aborted += changes;
  }

  admit(generations: readonly GenerationAdmission[]): void {
    for (const g of generations) {
      if (this.#generationExists.get(g.id) !== undefined) {
        throw new HoneError('INTERNAL', `generation id ${g.id} was admitted before; every generation needs a new id`);
      }
      const { lastInsertRowid } = this.#insertGeneration.run(
        g.id,
        g.origin,
        g.groupKey,
        g.packageDigest,
        g.version,
        g.adapterDigest,
        g.subject,
        g.createdAtMs,
        g.samplingJson,
        g.metadataJson,
        this.#promptOf(g),
      );
      this.#history.stored(g.id, Number(lastInsertRowid));
      this.#counts.running += 1;
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
      if (changes === 0 && this.#removedRunning.delete(g.id)) continue;
      if (changes === 0) throw new HoneError('GENERATION_NOT_FOUND', `no generation ${g.id} is running`);
      this.#counts.running -= 1;
      this.#counts[g.state] += 1;
      // Cancelled and aborted generations never train, so the learner need not hear of them.
      if (g.state === 'finished') this.#insertChange.run(g.id);
    }
  }

  write(item: FeedbackWrite): FeedbackOutcome {
    return this.#feedback.write(item);
  }

  /** Writes one record of an export, or returns why it is refused; a refused record changes nothing. */
  import(record: ReplayRecord): ImportOutcome {
    return this.#importer.import(record);
  }

  recordLessons(lessons: readonly Lesson[]): void {
    for (const { generationId, version } of lessons) this.#insertLesson.run(version, generationId);
  }

  #promptOf({
    groupKey,
    promptTokens,
    promptJson,
  }: Pick<GenerationAdmission, 'groupKey' | 'promptTokens' | 'promptJson'>): number {
    const digest = promptDigest(groupKey, promptJson);
    const known = this.#findPrompt.get(digest);
    if (known !== undefined) return known;
    return Number(this.#insertPrompt.run(digest, toBlob(promptTokens), promptJson).lastInsertRowid);
  }
}
