/**
 * Erasing all data of one subject, so that a restart completes what a crash has cut off.
 *
 * The first transaction writes down that the subject is to be erased; small ones follow, and the last one puts the figures
 * in the place of the subject's name. A store that is opened with an erasure under way completes it before it serves.
 * What the subject sends while the erasure runs may be erased with the rest.
 */

import { type Database, type WholeText, whole, wholeText } from '../sqlite/index.js';
import { nothingRemoved, type Removed, type Remover } from './removal.js';
import type { Lesson } from './types.js';

/** What an erasure did. */
export interface ErasureReport extends Removed {
  /** Versions that learned from generations of the subject, ascending; descendants of theirs are not looked for here. */
  readonly versions: readonly number[];
  /** The same of all erasures so far. */
  readonly versionsOfAll: readonly number[];
  /** Whether the store's log is free of the erased data, too: false while another program reads an old state of the file. */
  readonly logCleared: boolean;
}

interface ErasureRow extends Removed {
  readonly id: number;
  readonly subject: WholeText;
  readonly versions_json: string;
}

const columns = `id, ${whole('subject')}, versions_json, generations, scores, preferences, prompts`;

type Outcome = Omit<ErasureReport, 'logCleared'>;

const generationsPerStep = 32;
/** Generations that are remembered after their erasure: as many as the learner may hold. */
const remembered = 65_536;

export class Erasures {
  readonly #remover: Remover;
  readonly #pending;
  readonly #begin;
  readonly #page;
  readonly #versionsOf;
  readonly #update;
  readonly #finish;
  readonly #uncleared;
  readonly #clear;
  readonly #allVersions;
  readonly #versionsOfErasure;
  readonly #setVersions;
  /** Erased generations, by the number of their erasure: a version in the making may still come to have learned from them. */
  readonly #erased = new Map<string, number>();

  constructor(database: Database, remover: Remover) {
    this.#remover = remover;
    this.#pending = database.prepare<[], ErasureRow>(
      `SELECT ${columns} FROM erasures WHERE finished_at_ms IS NULL ORDER BY id`,
    );
    this.#begin = database.prepare<[number, string], ErasureRow>(
      `INSERT INTO erasures (started_at_ms, subject) VALUES (?, ?) RETURNING ${columns}`,
    );
    // The condition that is always true lets the index of those with a subject be used.
    this.#page = database.prepareValue<[string, number], string>(
      "SELECT id FROM generations WHERE subject = ? AND subject <> '' LIMIT ?",
    );
    this.#versionsOf = database.prepareValue<[string], number>('SELECT version FROM lessons WHERE generation_id = ?');
    this.#update = database.prepare(`
      UPDATE erasures SET generations = ?, scores = ?, preferences = ?, prompts = ?, versions_json = ? WHERE id = ?`);
    this.#uncleared = database.prepareValue<[], 1>('SELECT 1 FROM erasures WHERE cleared = 0 LIMIT 1');
    this.#clear = database.prepare('UPDATE erasures SET cleared = 1 WHERE cleared = 0');
    this.#allVersions = database.prepareValue<[], number>(
      'SELECT DISTINCT value FROM erasures, json_each(versions_json) ORDER BY value',
    );
    this.#versionsOfErasure = database.prepareValue<[number], string>(
      'SELECT versions_json FROM erasures WHERE id = ?',
    );
    this.#setVersions = database.prepare('UPDATE erasures SET versions_json = ? WHERE id = ?');
    this.#finish = database.prepare('UPDATE erasures SET finished_at_ms = ?, subject = NULL WHERE id = ?');
  }

  /** Erases a subject, in steps. */
  *erase(subject: string, now: () => number): Generator<void, Outcome> {
    const row = this.#begin.get(now(), subject) as ErasureRow;
    yield;
    return yield* this.#goOn(row, now);
  }

  /** Completes, in steps, what earlier runs of the server have left. */
  *complete(now: () => number): Generator<void, Outcome[]> {
    const reports: Outcome[] = [];
    for (const row of this.#pending.all()) reports.push(yield* this.#goOn(row, now));
    return reports;
  }

  *#goOn(row: ErasureRow, now: () => number): Generator<void, Outcome> {
    const { id, subject, generations, scores, preferences, prompts } = row;
    const removed = { ...nothingRemoved(), generations, scores, preferences, prompts };
    const versions = new Set(JSON.parse(row.versions_json) as number[]);
    for (;;) {
      const page = this.#page.all(wholeText(subject), generationsPerStep);
      if (page.length === 0) break;
      for (const generation of page) {
        for (const version of this.#versionsOf.all(generation)) versions.add(version);
        this.#remover.remove(generation, removed);
        this.#remember(generation, id);
      }
      this.#update.run(
        removed.generations,
        removed.scores,
        removed.preferences,
        removed.prompts,
        JSON.stringify(sorted(versions)),
        id,
      );
      yield;
    }
    // Also where nothing was found: a crash may have come between the generations and their changes.
    yield* this.#remover.forgetTraces();
    this.#finish.run(now(), id);
    return { ...removed, versions: sorted(versions), versionsOfAll: this.#allVersions.all() };
  }

  /** Whether copies of erased data may be left in the log, or beside the rows of the file. */
  get uncleared(): boolean {
    return this.#uncleared.get() !== undefined;
  }

  /** They are gone. */
  cleared(): void {
    this.#clear.run();
  }

  /** A version learned from these: where one of them was erased meanwhile, that is put on record. */
  noteLessons(lessons: readonly Lesson[]): void {
    for (const { generationId, version } of lessons) {
      const id = this.#erased.get(generationId);
      if (id === undefined) continue;
      const versions = new Set(JSON.parse(this.#versionsOfErasure.get(id) ?? '[]') as number[]);
      if (versions.has(version)) continue;
      this.#setVersions.run(JSON.stringify(sorted(versions.add(version))), id);
    }
  }

  #remember(generation: string, erasure: number): void {
    this.#erased.set(generation, erasure);
    if (this.#erased.size <= remembered) return;
    for (const oldest of this.#erased.keys()) {
      this.#erased.delete(oldest);
      return;
    }
  }
}

function sorted(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}
