/**
 * What makes room, and in which order.
 *
 * First whatever is older than the allowed age. Then, while the store uses more than its bytes: generations that were
 * cancelled or aborted; those without feedback that are older than a day; and the oldest, whatever they are. Generations
 * that are running stay. Within each, the oldest go first. A sweep that was begun goes on until a twentieth of the bytes
 * is free again, so that sweeps are rare; the file keeps its size and the room inside it is used again.
 */

import type { Database } from '../sqlite/index.js';
import { nothingRemoved, type Removed, type Remover } from './removal.js';

export interface RetentionSettings {
  /** Bytes that may be in use, about: what is written faster than sweeps make room is written all the same. */
  readonly maxBytes: number | null;
  /** Age from which a generation goes, milliseconds. */
  readonly maxAgeMs: number | null;
}

/** What a sweep did. */
export interface EvictionReport extends Removed {
  /** Of the generations, by the reason for which they went. */
  readonly byAge: number;
  readonly unfinished: number;
  readonly unscored: number;
  readonly oldest: number;
  /** In use afterwards. */
  readonly usedBytes: number;
  readonly durationMs: number;
}

interface Candidate {
  readonly id: string;
  readonly rowid: number;
  readonly created_at_ms: number;
  readonly state: string;
}

/** Where a stage goes on: ordered by age, then by row. */
type Place = readonly [createdAtMs: number, rowid: number];

const dayMs = 24 * 60 * 60 * 1000;
const candidatesPerStep = 32;

export class Retention {
  readonly #remover: Remover;
  readonly #settings: RetentionSettings;
  readonly #used;
  readonly #oldest;
  readonly #byAge;
  readonly #unfinished;
  readonly #hasFeedback;

  constructor(database: Database, remover: Remover, settings: RetentionSettings) {
    this.#remover = remover;
    this.#settings = settings;
    this.#used = database.prepareValue<[], number>(
      'SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size',
    );
    this.#oldest = database.prepareValue<[], number | null>(
      "SELECT min(created_at_ms) FROM generations WHERE state <> 'running'",
    );
    this.#byAge = database.prepare<[number, number, number, number], Candidate>(`
      SELECT id, rowid, created_at_ms, state FROM generations
      WHERE (created_at_ms, rowid) > (?, ?) AND created_at_ms < ?
      ORDER BY created_at_ms, rowid LIMIT ?`);
    this.#unfinished = database.prepare<[string, number, number], Candidate>(
      'SELECT id, rowid, created_at_ms, state FROM generations WHERE state = ? AND rowid > ? ORDER BY rowid LIMIT ?',
    );
    this.#hasFeedback = database.prepareValue<[{ id: string }], 1>(`
        SELECT 1 WHERE EXISTS (SELECT 1 FROM scores WHERE generation_id = $id)
          OR EXISTS (SELECT 1 FROM preferences WHERE first_id = $id)
          OR EXISTS (SELECT 1 FROM preferences WHERE second_id = $id)`);
  }

  /** Bytes of the file that are in use. */
  usedBytes(): number {
    return this.#used.get() ?? 0;
  }

  /** Whether the store uses more than its bytes. */
  isOverBytes(): boolean {
    const { maxBytes } = this.#settings;
    return maxBytes !== null && this.usedBytes() > maxBytes;
  }

  /** Whether something is older than it may be. */
  isOverAge(nowMs: number): boolean {
    const { maxAgeMs } = this.#settings;
    return maxAgeMs !== null && (this.#oldest.get() ?? Number.POSITIVE_INFINITY) < nowMs - maxAgeMs;
  }

  /** One sweep, in steps of a few generations; each step leaves the store whole. */
  *sweep(nowMs: number): Generator<void, EvictionReport> {
    const { maxBytes, maxAgeMs } = this.#settings;
    const startedAtMs = performance.now();
    const removed = nothingRemoved();
    const reasons = { byAge: 0, unfinished: 0, unscored: 0, oldest: 0 };
    const evict = (reason: keyof typeof reasons, candidate: Candidate): void => {
      this.#remover.remove(candidate.id, removed);
      reasons[reason] += 1;
    };
    if (maxAgeMs !== null) {
      const always = (): boolean => true;
      for (const candidate of this.#before(nowMs - maxAgeMs, always)) {
        if (candidate === null) yield;
        else evict('byAge', candidate);
      }
    }
    if (maxBytes !== null && this.usedBytes() > maxBytes) {
      const enough = maxBytes - maxBytes / 20;
      const wanted = (): boolean => this.usedBytes() > enough;
      for (const state of ['cancelled', 'aborted']) {
        for (const candidate of this.#inState(state, wanted)) {
          if (candidate === null) yield;
          else evict('unfinished', candidate);
        }
      }
      for (const candidate of this.#before(nowMs - dayMs, wanted)) {
        if (candidate === null) yield;
        else if (this.#hasFeedback.get({ id: candidate.id }) === undefined) evict('unscored', candidate);
      }
      for (const candidate of this.#before(Number.MAX_SAFE_INTEGER, wanted)) {
        if (candidate === null) yield;
        else evict('oldest', candidate);
      }
    }
    if (removed.generations > 0) yield* this.#remover.forgetTraces();
    return { ...removed, ...reasons, usedBytes: this.usedBytes(), durationMs: performance.now() - startedAtMs };
  }

  /** Generations that have ended and are older than `beforeMs`, oldest first, while wanted; null after each page. */
  *#before(beforeMs: number, wanted: () => boolean): Generator<Candidate | null, void> {
    let place: Place = [Number.MIN_SAFE_INTEGER, 0];
    for (;;) {
      const page = this.#byAge.all(...place, beforeMs, candidatesPerStep);
      for (const candidate of page) {
        if (!wanted()) return;
        if (candidate.state !== 'running') yield candidate;
        place = [candidate.created_at_ms, candidate.rowid];
      }
      yield null;
      if (page.length < candidatesPerStep) return;
    }
  }

  *#inState(state: string, wanted: () => boolean): Generator<Candidate | null, void> {
    let rowid = 0;
    for (;;) {
      const page = this.#unfinished.all(state, rowid, candidatesPerStep);
      for (const candidate of page) {
        if (!wanted()) return;
        yield candidate;
        rowid = candidate.rowid;
      }
      yield null;
      if (page.length < candidatesPerStep) return;
    }
  }
}
