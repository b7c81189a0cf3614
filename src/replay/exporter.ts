/** Reading the store page by page for an export: each page is one short read, and writes go on between them. */

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

/** Which generations are meant, with what hangs on them; preferences only where both of their sides are meant. */
export interface ExportFilter {
  /** Only those of this subject. Default: of all. */
  readonly subject?: string | undefined;
  /** Only those that were admitted at that time or later, milliseconds since 1970. Default: from the beginning. */
  readonly sinceMs?: number | undefined;
  /** Only those with a score. Default false. */
  readonly scored?: boolean | undefined;
}

export interface ExportQuery extends ExportFilter {
  /** Where the page begins: 0, or what the page before said. */
  readonly after: number;
  /** Where the export ends: what the first page said; absent for the first. */
  readonly last?: number | undefined;
}

export interface ExportPage {
  readonly records: readonly ReplayRecord[];
  /** Where the next page begins; null after the last. */
  readonly next: number | null;
  /** What is written later belongs to no page. */
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

/** Generations looked at for one page. */
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

  page(query: ExportQuery): ExportPage {
    const last = query.last ?? this.#last.get() ?? 0;
    const places = this.#places.all(query.after, last, placesPerPage);
    const records = places.filter((place) => this.#isMeant(place, query)).flatMap((place) => this.#of(place, query));
    const next = places.length < placesPerPage ? null : (places.at(-1)?.place ?? null);
    return { records, next, last };
  }

  /** A generation, its scores, and the preferences whose other side came before it. */
  #of({ id, place }: Place, filter: ExportFilter): ReplayRecord[] {
    const row = this.#generation.get(id);
    if (row === undefined) return [];
    const compared = this.#compared.flatMap((statement) => statement.all(id));
    return [
      { type: 'generation', generation: toGeneration(row) },
      ...this.#scores.all(id).map((score): ReplayRecord => ({ type: 'score', score: toScore(score) })),
      ...compared
        .filter((other) => other.place < place)
        .filter(({ partner, subject, state, admitted_at_ms }) =>
          this.#isMeant({ id: partner, subject, state, created_at_ms: admitted_at_ms }, filter),
        )
        .map((preference): ReplayRecord => ({ type: 'preference', preference: toPreference(preference) })),
    ];
  }

  #isMeant({ id, subject, created_at_ms, state }: Omit<Place, 'place'>, filter: ExportFilter): boolean {
    // What still runs is not whole.
    if (state === 'running') return false;
    if (filter.subject !== undefined && filter.subject !== wholeText(subject)) return false;
    if (filter.sinceMs !== undefined && created_at_ms < filter.sinceMs) return false;
    return filter.scored !== true || this.#hasScore.get(id) !== undefined;
  }
}
