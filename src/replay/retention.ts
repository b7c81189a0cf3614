/**
 * Sweeps: which generations are removed to make room, and in which order.
 *
 * A sweep first removes every generation that is older than the allowed age. Then, while the store uses more than its
 * bytes, it removes generations that were cancelled or aborted, then those without feedback that are older than a day,
 * then the oldest of all others. Within each stage the oldest go first. It never removes a generation that runs. A sweep
 * continues until a twentieth of the bytes is free, so that sweeps are rare. The file keeps its size, and SQLite reuses
 * the room inside it.
 */

import type { Database } from '../sqlite/index.js';
import { nothingRemoved, type Removed, type Remover } from './removal.js';

export interface RetentionSettings {
  /** Bytes that may be in use, roughly: writes that come faster than sweeps make room are not refused. Null: no bound. */
  readonly maxBytes: number | null;
  /** A generation older than this is removed, milliseconds. Null: no bound. */
  readonly maxAgeMs: number | null;
}

/** The result of a sweep. */
export interface EvictionReport extends Removed {
  /** Generations by the reason for their removal; the four add up to `generations`. */
  readonly byAge: number;
  readonly unfinished: number;
  readonly unscored: number;
  readonly oldest: number;
  /** Bytes in use after the sweep. */
  readonly usedBytes: number;
  readonly durationMs: number;
}

/** A generation that a sweep may remove. */
interface Evictable {
  readonly id: string;
  readonly rowid: number;
  readonly created_at_ms: number;
  readonly state: string;
}

/** Where the next page of a stage begins: pages are ordered by age, then by row. */
type Place = readonly [createdAtMs: number, rowid: number];

const dayMs = 24 * 60 * 60 * 1000;
const evictablesPerStep = 32;

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
    this.#byAge = database.prepare<[number, number, number, number], Evictable>(`
      SELECT id, rowid, created_at_ms, state FROM generations
      WHERE (created_at_ms, rowid) > (?, ?) AND created_at_ms < ?
      ORDER BY created_at_ms, rowid LIMIT ?`);
    this.#unfinished = database.prepare<[string, number, number], Evictable>(
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

  /**
   * Whether file and log together are more than the store's bytes. The log comes and goes, so only the file decides which
   * generations are removed: removing some would make the log longer, not shorter.
   */
  isOverBytesWith(logBytes: number): boolean {
    const { maxBytes } = this.#settings;
    return maxBytes !== null && this.usedBytes() + logBytes > maxBytes;
  }

  /** Whether the file uses more than the store's bytes. */
  isOverBytes(): boolean {
    const { maxBytes } = this.#settings;
    return maxBytes !== null && this.usedBytes() > maxBytes;
  }

  /** Whether a generation is older than it may be. */
  isOverAge(nowMs: number): boolean {
    const { maxAgeMs } = this.#settings;
    return maxAgeMs !== null && (this.#oldest.get() ?? Number.POSITIVE_INFINITY) < nowMs - maxAgeMs;
  }

  /** Runs one sweep, in steps of a few generations. The store is consistent after each step. */
  *sweep(nowMs: number): Generator<void, EvictionReport> {
    const { maxBytes, maxAgeMs } = this.#settings;
    const startedAtMs = performance.now();
    const removed = nothingRemoved();
    const reasons = { byAge: 0, unfinished: 0, unscored: 0, oldest: 0 };
    const evict = (reason: keyof typeof reasons, evictable: Evictable): void => {
      this.#remover.remove(evictable.id, removed);
      reasons[reason] += 1;
    };
    if (maxAgeMs !== null) {
      const always = (): boolean => true;
      for (const evictable of this.#before(nowMs - maxAgeMs, always)) {
        if (evictable === null) yield;
        else evict('byAge', evictable);
      }
    }
    if (maxBytes !== null && this.usedBytes() > maxBytes) {
      const enough = maxBytes - maxBytes / 20;
      const wanted = (): boolean => this.usedBytes() > enough;
      for (const state of ['cancelled', 'aborted']) {
        for (const evictable of this.#inState(state, wanted)) {
          if (evictable === null) yield;
          else evict('unfinished', evictable);
        }
      }
      for (const evictable of this.#before(nowMs - dayMs, wanted)) {
        if (evictable === null) yield;
        else if (this.#hasFeedback.get({ id: evictable.id }) === undefined) evict('unscored', evictable);
      }
      for (const evictable of this.#before(Number.MAX_SAFE_INTEGER, wanted)) {
        if (evictable === null) yield;
        else evict('oldest', evictable);
      }
    }
    if (removed.generations > 0) yield* this.#remover.forgetTraces();
    return { ...removed, ...reasons, usedBytes: this.usedBytes(), durationMs: performance.now() - startedAtMs };
  }

  /**
   * Yields generations that have ended and are older than `beforeMs`, oldest first, and null after each page. It ends
   * when no more are wanted.
   */
  *#before(beforeMs: number, wanted: () => boolean): Generator<Evictable | null, void> {
    let place: Place = [Number.MIN_SAFE_INTEGER, 0];
    for (;;) {
      const page = this.#byAge.all(...place, beforeMs, evictablesPerStep);
      for (const evictable of page) {
        if (!wanted()) return;
        if (evictable.state !== 'running') yield evictable;
        place = [evictable.created_at_ms, evictable.rowid];
      }
      yield null;
      if (page.length < evictablesPerStep) return;
    }
  }

  /** Yields generations in a state, oldest row first, and null after each page. It ends when no more are wanted. */
  *#inState(state: string, wanted: () => boolean): Generator<Evictable | null, void> {
    let rowid = 0;
    for (;;) {
      const page = this.#unfinished.all(state, rowid, evictablesPerStep);
      for (const evictable of page) {
        if (!wanted()) return;
        yield evictable;
        rowid = evictable.rowid;
      }
      yield null;
      if (page.length < evictablesPerStep) return;
    }
  }
}
