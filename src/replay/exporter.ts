/** Reads the store page by page for an export. Each page is one short read, so that writes continue between them. */

import { type Database, type WholeText, whole, wholeText } from '../sqlite/index.js';
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
  /** Where the export ends: `last` of the first page. Absent for the first page. */
  readonly last?: number | undefined;
}

export interface ExportPage {
  readonly records: readonly ReplayRecord[];
  /** Where the next page begins; null after the last. */
  readonly next: number | null;
  /** Where the export ends; generations that are written later are not part of it. */
  readonly last: number;
}

interface Place {
  readonly id: string;
  readonly place: number;
  readonly subject: WholeText;
  readonly created_at_ms: number;
  readonly state: string;
}

type ComparedRow = PreferenceRow & Omit<Place, 'id'> & { readonly partner: string };

/** Generations that one page looks at. */
const placesPerPage = 64;

export class Exporter {
  readonly #last;
  readonly #places;
  readonly #generation;
  readonly #scores;
  readonly #hasScore;
  readonly #compared;

  constructor(database: Database) {
    const place = `rowid AS place, ${whole('subject')}, generations.created_at_ms, state`;
    this.#last = database.prepareValue<[], number | null>('SELECT max(rowid) FROM generations');
    this.#places = database.prepare<[number, number, number], Place>(
      `SELECT id, ${place} FROM generations WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?`,
    );
    this.#generation = database.prepare<[string], GenerationRow>(
      `SELECT ${generationColumns} FROM generations JOIN prompts ON prompts.id = prompt_id WHERE generations.id = ?`,
    );
    this.#scores = database.prepare<[string], ScoreRow>(`SELECT ${scoreColumns} FROM scores WHERE generation_id = ?`);
    this.#hasScore = database.prepareValue<[string], 1>('SELECT 1 FROM scores WHERE generation_id = ? LIMIT 1');
    const compared = (own: string, other: string): string => `
      SELECT ${preferenceColumns}, ${other} AS partner, generations.rowid AS place, ${whole('subject')}, state,
        generations.created_at_ms AS admitted_at_ms
      FROM preferences JOIN generations ON generations.id = ${other} WHERE ${own} = ?`;
    this.#compared = [
      database.prepare<[string], ComparedRow & { readonly admitted_at_ms: number }>(compared('first_id', 'second_id')),
      database.prepare<[string], ComparedRow & { readonly admitted_at_ms: number }>(compared('second_id', 'first_id')),
    ];
  }

  /** Reads one page. */
  page(query: ExportQuery): ExportPage {
    const last = query.last ?? this.#last.get() ?? 0;
    const places = this.#places.all(query.after, last, placesPerPage);
    const records = places
      .filter((place) => this.#isIncluded(place, query))
      .flatMap((place) => this.#recordsOf(place, query));
    const next = places.length < placesPerPage ? null : (places.at(-1)?.place ?? null);
    return { records, next, last };
  }

  /** A generation, its scores, and the preferences whose other generation was exported before it. */
  #recordsOf({ id, place }: Place, filter: ExportFilter): ReplayRecord[] {
    const row = this.#generation.get(id);
    if (row === undefined) return [];
    const compared = this.#compared.flatMap((statement) => statement.all(id));
    return [
      { type: 'generation', generation: toGeneration(row) },
      ...this.#scores.all(id).map((score): ReplayRecord => ({ type: 'score', score: toScore(score) })),
      ...compared
        .filter((other) => other.place < place)
        .filter(({ partner, subject, state, admitted_at_ms }) =>
          this.#isIncluded({ id: partner, subject, state, created_at_ms: admitted_at_ms }, filter),
        )
        .map((preference): ReplayRecord => ({ type: 'preference', preference: toPreference(preference) })),
    ];
  }

  #isIncluded({ id, subject, created_at_ms, state }: Omit<Place, 'place'>, filter: ExportFilter): boolean {
    // A running generation is not complete.
    if (state === 'running') return false;
    if (filter.subject !== undefined && filter.subject !== wholeText(subject)) return false;
    if (filter.sinceMs !== undefined && created_at_ms < filter.sinceMs) return false;
    return filter.scored !== true || this.#hasScore.get(id) !== undefined;
  }
}
