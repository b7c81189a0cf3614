/**
 * Reads the store page by page for an export. Each page is one short read, so that writes continue between them, and so
 * does the emptying of the log.
 *
 * An export shows the store as it was when its first page was read: the generations that had ended by then, and the
 * scores and preferences up to the last change of that moment. `export-history.ts` keeps what is changed since. What was
 * removed since, by a sweep or an erasure, is left out.
 */

import { type Database, type WholeText, whole, wholeText } from '../sqlite/index.js';
import { type ExportHistory, type OpenExport, preferenceKey, scoreKey } from './export-history.js';
import type { ReplayRecord } from './record.js';
import {
  type GenerationRow,
  generationColumns,
  type PreferenceRow,
  preferenceColumns,
  type ScoreRow,
  scoreColumns,
  toGeneration,
  toPreference,
  toScore,
} from './rows.js';
import type { Preference, Score } from './types.js';

/** Which generations to export, with their scores. A preference is exported only if both of its generations are. */
export interface ExportFilter {
  /** Only generations of this subject. Default: of all subjects. */
  readonly subject?: string | undefined;
  /** Only generations that were admitted at this time or later, milliseconds since 1970. Default: all. */
  readonly sinceMs?: number | undefined;
  /** Only generations with a score. Default false. */
  readonly scored?: boolean | undefined;
}

export interface ExportQuery extends ExportFilter {
  /** Where the page begins: 0, or `next` of the page before. */
  readonly after: number;
  /** The export that the page belongs to: `id` of its first page. Absent for the first page. */
  readonly id?: number | undefined;
}

export interface ExportPage {
  readonly records: readonly ReplayRecord[];
  /** Where the next page begins; null after the last, with which the export has ended. */
  readonly next: number | null;
  /** The export that the page belongs to. It has to be ended if its last page is not read. */
  readonly id: number;
}

interface Place {
  readonly id: string;
  readonly place: number;
  readonly subject: WholeText;
  readonly created_at_ms: number;
  readonly state: string;
}

/** Generations that one page looks at. */
const placesPerPage = 64;

export class Exporter {
  readonly #history: ExportHistory;
  readonly #places;
  readonly #place;
  readonly #generation;
  readonly #scores;
  readonly #asFirst;
  readonly #asSecond;

  constructor(database: Database, history: ExportHistory) {
    this.#history = history;
    const columns = `id, rowid AS place, ${whole('subject')}, created_at_ms, state`;
    this.#places = database.prepare<[number, number, number], Place>(
      `SELECT ${columns} FROM generations WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?`,
    );
    this.#place = database.prepare<[string], Place>(`SELECT ${columns} FROM generations WHERE id = ?`);
    this.#generation = database.prepare<[string], GenerationRow>(
      `SELECT ${generationColumns} FROM generations JOIN prompts ON prompts.id = prompt_id WHERE generations.id = ?`,
    );
    this.#scores = database.prepare<[string], ScoreRow>(
      `SELECT ${scoreColumns} FROM scores WHERE generation_id = ? ORDER BY scores.rater, scores.metric`,
    );
    const compared = (own: string, other: string) =>
      `SELECT ${preferenceColumns} FROM preferences WHERE ${own} = ?
      ORDER BY ${other}, preferences.rater, preferences.metric`;
    this.#asFirst = database.prepare<[string], PreferenceRow>(compared('first_id', 'second_id'));
    this.#asSecond = database.prepare<[string], PreferenceRow>(compared('second_id', 'first_id'));
  }

  /**
   * Reads one page. The first one begins the export, the last one ends it.
   * @throws HoneError `QUEUE_FULL` if too many exports run, `READER_STALLED` if too much was changed meanwhile
   */
  page(query: ExportQuery): ExportPage {
    const one = query.id === undefined ? this.#history.begin() : this.#history.find(query.id);
    try {
      const places = this.#places.all(query.after, one.last, placesPerPage);
      const records = places
        .filter((place) => this.#isIncluded(one, place, query))
        .flatMap((place) => this.#recordsOf(one, place, query));
      const next = places.length < placesPerPage ? null : (places.at(-1)?.place ?? null);
      if (next === null) this.#history.end(one.id);
      return { records, next, id: one.id };
    } catch (thrown) {
      if (query.id === undefined) this.#history.end(one.id);
      throw thrown;
    }
  }

  /** A generation, its scores, and the preferences whose other generation was exported before it. */
  #recordsOf(one: OpenExport, { id, place }: Place, filter: ExportFilter): ReplayRecord[] {
    const row = this.#generation.get(id);
    if (row === undefined) return [];
    return [
      { type: 'generation', generation: toGeneration(row) },
      ...this.#scoresOf(one, id).map((score): ReplayRecord => ({ type: 'score', score })),
      ...this.#preferencesOf(one, id)
        .filter(({ generationId, otherId }) => {
          const partner = this.#place.get(generationId === id ? otherId : generationId);
          return partner !== undefined && partner.place < place && this.#isIncluded(one, partner, filter);
        })
        .map((preference): ReplayRecord => ({ type: 'preference', preference })),
    ];
  }

  /** The scores of a generation at the cut, by rater and metric. */
  #scoresOf({ cut, scores }: OpenExport, id: string): Score[] {
    const kept = scores.get(id);
    const standing = this.#scores
      .all(id)
      .filter(({ sequence }) => sequence <= cut)
      .map(toScore);
    if (kept === undefined) return standing;
    const unchanged = standing.filter(({ rater, metric }) => !kept.has(scoreKey(rater, metric)));
    return [...unchanged, ...kept.values()].sort(
      (a, b) => compareBytes(a.rater, b.rater) || compareBytes(a.metric, b.metric),
    );
  }

  /** The preferences of a generation at the cut: as the first of its pair, then as the second, each in order. */
  #preferencesOf(one: OpenExport, id: string): Preference[] {
    const kept = one.preferences.get(id);
    const standing = [...this.#asFirst.all(id), ...this.#asSecond.all(id)]
      .filter(({ sequence }) => sequence <= one.cut)
      .map(toPreference);
    if (kept === undefined) return standing;
    const unchanged = standing.filter(
      ({ generationId, otherId, rater, metric }) => !kept.has(preferenceKey(generationId, otherId, rater, metric)),
    );
    const side = ({ generationId }: Preference): number => (generationId === id ? 0 : 1);
    const partner = ({ generationId, otherId }: Preference): string => (generationId === id ? otherId : generationId);
    return [...unchanged, ...kept.values()].sort(
      (a, b) =>
        side(a) - side(b) ||
        compareBytes(partner(a), partner(b)) ||
        compareBytes(a.rater, b.rater) ||
        compareBytes(a.metric, b.metric),
    );
  }

  #isIncluded(one: OpenExport, { id, subject, created_at_ms, state }: Place, filter: ExportFilter): boolean {
    // A generation that was running when the export began is not complete, whatever has become of it since.
    if (state === 'running' || one.leftOut.has(id)) return false;
    if (filter.subject !== undefined && filter.subject !== wholeText(subject)) return false;
    if (filter.sinceMs !== undefined && created_at_ms < filter.sinceMs) return false;
    return filter.scored !== true || this.#scoresOf(one, id).length > 0;
  }
}

/** The order of texts in SQLite. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
