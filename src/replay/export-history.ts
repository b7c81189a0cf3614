/**
 * What open exports show of scores and preferences that were changed since they began.
 *
 * An export is cut by a sequence number: it shows what the changes up to that number left. Everything that is written
 * later has a later number and is left out. A score that is replaced or retracted while an export runs would be gone, so
 * the writer keeps the row here before it changes it. A read transaction would show the same, but the store's log could
 * not be emptied until the export has ended, however slowly its caller reads.
 */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { type PreferenceRow, preferenceColumns, type ScoreRow, scoreColumns, toPreference, toScore } from './rows.js';
import type { Preference, Score, ScoreKey } from './types.js';

/** An export from its first page to its last. */
export interface OpenExport {
  readonly id: number;
  /** The last change that it shows. */
  readonly cut: number;
  /** Row of the last generation that it shows. */
  readonly last: number;
  /** Generations that it leaves out: those that were running when it began, and later ones in the place of a removed one. */
  readonly leftOut: ReadonlySet<string>;
  /** Scores as they were, by their generation. */
  readonly scores: ReadonlyMap<string, ReadonlyMap<string, Score>>;
  /** Preferences as they were, by each of their two generations. */
  readonly preferences: ReadonlyMap<string, ReadonlyMap<string, Preference>>;
}

type Kept<Row> = Map<string, Map<string, Row>>;

interface Opened extends OpenExport {
  readonly leftOut: Set<string>;
  readonly scores: Kept<Score>;
  readonly preferences: Kept<Preference>;
  rows: number;
  /** True when more rows were changed than are kept, so that the export cannot go on. */
  lost: boolean;
}

/** Exports that run at once. */
const maxExports = 16;

export class ExportHistory {
  readonly #open = new Map<number, Opened>();
  readonly #maxRows: number;
  readonly #lastSequence;
  readonly #lastPlace;
  readonly #running;
  readonly #score;
  readonly #preference;
  #nextId = 1;

  /** @param maxRows changed rows that are kept for one export, a few hundred bytes each */
  constructor(database: Database, maxRows = 200_000) {
    this.#maxRows = maxRows;
    this.#lastSequence = database.prepareValue<[], number>(
      "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'",
    );
    this.#lastPlace = database.prepareValue<[], number | null>('SELECT max(rowid) FROM generations');
    this.#running = database.prepareValue<[], string>("SELECT id FROM generations WHERE state = 'running'");
    this.#score = database.prepare<[string, string, string], ScoreRow>(
      `SELECT ${scoreColumns} FROM scores WHERE generation_id = ? AND rater = ? AND metric = ?`,
    );
    this.#preference = database.prepare<[string, string, string, string], PreferenceRow>(
      `SELECT ${preferenceColumns} FROM preferences WHERE first_id = ? AND second_id = ? AND rater = ? AND metric = ?`,
    );
  }

  /** @throws HoneError `QUEUE_FULL` if too many exports run */
  begin(): OpenExport {
    if (this.#open.size >= maxExports) {
      throw new HoneError('QUEUE_FULL', `${maxExports} exports run already; wait until one of them has ended`, {
        retryAfterMs: 1000,
      });
    }
    const opened: Opened = {
      id: this.#nextId++,
      cut: this.#lastSequence.get() ?? 0,
      last: this.#lastPlace.get() ?? 0,
      leftOut: new Set(this.#running.all()),
      scores: new Map(),
      preferences: new Map(),
      rows: 0,
      lost: false,
    };
    this.#open.set(opened.id, opened);
    return opened;
  }

  /** @throws HoneError `INTERNAL` if the export was ended, `READER_STALLED` if too much was changed since it began */
  find(id: number): OpenExport {
    const opened = this.#open.get(id);
    if (opened === undefined) throw new HoneError('INTERNAL', `export ${id} has ended`);
    if (!opened.lost) return opened;
    throw new HoneError(
      'READER_STALLED',
      `more than ${this.#maxRows} scores and preferences were replaced or retracted while this export ran, ` +
        'so it can no longer show what was stored when it began; export again, and read faster',
    );
  }

  /** Forgets an export. One that has ended already is no error. */
  end(id: number): void {
    this.#open.delete(id);
  }

  /**
   * Call after a generation was stored. SQLite gives the place of the newest row again once that row is removed, so a new
   * generation can lie where an export still reads.
   */
  stored(generationId: string, place: number): void {
    for (const opened of this.#open.values()) {
      if (place <= opened.last) opened.leftOut.add(generationId);
    }
  }

  /** Call before a score that is stored is replaced or deleted. */
  beforeScore({ generationId, rater, metric }: ScoreKey): void {
    if (this.#open.size === 0) return;
    const row = this.#score.get(generationId, rater, metric);
    if (row === undefined) return;
    for (const opened of this.#open.values()) {
      if (row.sequence <= opened.cut)
        this.#keep(opened, opened.scores, generationId, scoreKey(rater, metric), toScore(row));
    }
  }

  /** Call before a preference that is stored is replaced or deleted. */
  beforePreference(firstId: string, secondId: string, rater: string, metric: string): void {
    if (this.#open.size === 0) return;
    const row = this.#preference.get(firstId, secondId, rater, metric);
    if (row === undefined) return;
    const key = preferenceKey(firstId, secondId, rater, metric);
    for (const opened of this.#open.values()) {
      if (row.sequence > opened.cut) continue;
      for (const id of [firstId, secondId]) this.#keep(opened, opened.preferences, id, key, toPreference(row));
    }
  }

  #keep<Row>(opened: Opened, kept: Kept<Row>, generationId: string, key: string, row: Row): void {
    if (opened.lost) return;
    const rows = kept.get(generationId) ?? new Map<string, Row>();
    // The first change since the export began replaced what the export shows.
    if (rows.has(key)) return;
    opened.rows += 1;
    if (opened.rows > this.#maxRows) {
      opened.lost = true;
      opened.scores.clear();
      opened.preferences.clear();
      return;
    }
    kept.set(generationId, rows.set(key, row));
  }
}

/** The key of a score within its generation. */
export function scoreKey(rater: string, metric: string): string {
  return JSON.stringify([rater, metric]);
}

export function preferenceKey(firstId: string, secondId: string, rater: string, metric: string): string {
  return JSON.stringify([firstId, secondId, rater, metric]);
}
