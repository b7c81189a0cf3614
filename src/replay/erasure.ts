/**
 * Erases all data of one subject, in a way that a restart completes after a crash.
 *
 * The first transaction records that the subject is to be erased, and whether what was learned from it is to be taken
 * back. Small transactions then remove its data, and the last one replaces the subject's name in the record by the
 * figures. A store that is opened with an unfinished erasure completes it before it serves. Data that the subject sends
 * while the erasure runs may be erased too.
 *
 * The rest happens outside the store: an event is published, versions are taken back, the learner learns again. The
 * record holds how far that has come ({@link ErasureProgress}), so that the next start goes on with it.
 */

import { type Database, type WholeText, whole, wholeText } from '../sqlite/index.js';
import { nothingRemoved, type Removed, type Remover } from './removal.js';
import type { Lesson } from './types.js';

/** What is left of an erasure whose data is removed. */
export interface ErasureProgress {
  /** Number of its record. */
  readonly id: number;
  /** When it began, milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Whether an event has reported it. */
  readonly reported: boolean;
  /**
   * How far it has come to take back what was learned from the data. `none`: nobody asked for that. `versions`: versions
   * that learned from it may serve. `learner`: the learner has to learn again. `done`: it has begun to.
   */
  readonly retrain: 'none' | 'versions' | 'learner' | 'done';
}

/** The result of an erasure. */
export interface ErasureReport extends Removed, ErasureProgress {
  /** Versions that learned from the subject's generations, ascending. Their descendants are not included. */
  readonly versions: readonly number[];
  /** The same for all erasures so far together. */
  readonly versionsOfAll: readonly number[];
  /** Whether the log is free of the erased data too. False while another program reads an old state of the file. */
  readonly logCleared: boolean;
}

/** What has been done of an erasure. */
export interface ErasureNote {
  readonly id: number;
  readonly reported?: true;
  /** The next step. It is not recorded if there is something to take back again that came after `from`. */
  readonly retrain?: { readonly from: ErasureProgress['retrain']; readonly to: ErasureProgress['retrain'] };
}

interface ErasureRow extends Removed {
  readonly id: number;
  readonly started_at_ms: number;
  readonly subject: WholeText;
  readonly versions_json: string;
  readonly retrain: ErasureProgress['retrain'];
  readonly reported: number;
  readonly cleared: number;
}

const columns = [
  `id, started_at_ms, ${whole('subject')}, versions_json, generations, scores, preferences, prompts`,
  'retrain, reported, cleared',
].join(', ');

type Outcome = Omit<ErasureReport, 'logCleared'>;

const generationsPerStep = 32;
/** Erased generations to remember: as many as the learner may hold. */
const maxRemembered = 65_536;

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
  readonly #unsettled;
  readonly #setReported;
  readonly #setRetrain;
  /** The erasure of each erased generation. The learner may still hold the generation and make a version that learned from it. */
  readonly #erasureOf = new Map<string, number>();

  constructor(database: Database, remover: Remover) {
    this.#remover = remover;
    this.#pending = database.prepare<[], ErasureRow>(
      `SELECT ${columns} FROM erasures WHERE finished_at_ms IS NULL ORDER BY id`,
    );
    this.#begin = database.prepare<[number, string, string], ErasureRow>(
      `INSERT INTO erasures (started_at_ms, subject, retrain) VALUES (?, ?, ?) RETURNING ${columns}`,
    );
    this.#unsettled = database.prepare<[], ErasureRow>(`
      SELECT ${columns} FROM erasures
      WHERE finished_at_ms IS NOT NULL AND (reported = 0 OR retrain IN ('versions', 'learner')) ORDER BY id`);
    this.#setReported = database.prepare('UPDATE erasures SET reported = 1 WHERE id = ?');
    this.#setRetrain = database.prepare('UPDATE erasures SET retrain = ? WHERE id = ? AND retrain = ?');
    // The second condition is always true; it lets SQLite use the index of generations with a subject.
    this.#page = database.prepareValue<[string, number], string>(
      "SELECT id FROM generations WHERE subject = ? AND subject <> '' LIMIT ?",
    );
    this.#versionsOf = database.prepareValue<[string], number>('SELECT version FROM lessons WHERE generation_id = ?');
    this.#update = database.prepare(`
      UPDATE erasures SET generations = ?, scores = ?, preferences = ?, prompts = ?, versions_json = ? WHERE id = ?`);
    this.#uncleared = database.prepareValue<[], 1>(
      'SELECT 1 FROM erasures WHERE cleared = 0 AND finished_at_ms IS NOT NULL LIMIT 1',
    );
    this.#clear = database.prepare('UPDATE erasures SET cleared = 1 WHERE cleared = 0 AND finished_at_ms IS NOT NULL');
    this.#allVersions = database.prepareValue<[], number>(
      'SELECT DISTINCT value FROM erasures, json_each(versions_json) ORDER BY value',
    );
    this.#versionsOfErasure = database.prepareValue<[number], string>(
      'SELECT versions_json FROM erasures WHERE id = ?',
    );
    this.#setVersions = database.prepare(`
      UPDATE erasures SET versions_json = ?, retrain = CASE retrain WHEN 'none' THEN 'none' ELSE 'versions' END
      WHERE id = ?`);
    this.#finish = database.prepare('UPDATE erasures SET finished_at_ms = ?, subject = NULL WHERE id = ?');
  }

  /**
   * Erases a subject, in steps. The first step records it.
   * @param retrain whether what was learned from the data is to be taken back
   */
  *erase(subject: string, retrain: boolean, now: () => number): Generator<void, Outcome> {
    const row = this.#begin.get(now(), subject, retrain ? 'versions' : 'none') as ErasureRow;
    yield;
    return yield* this.#continue(row, now);
  }

  /** Whether the data of a subject is to be erased and is not yet. */
  get unfinished(): boolean {
    return this.#pending.get() !== undefined;
  }

  /** Completes, in steps, the erasures that earlier runs of the server, or a full disk, left unfinished. */
  *complete(now: () => number): Generator<void, Outcome[]> {
    const reports: Outcome[] = [];
    for (const row of this.#pending.all()) reports.push(yield* this.#continue(row, now));
    return reports;
  }

  *#continue(row: ErasureRow, now: () => number): Generator<void, Outcome> {
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
    // Needed even if no generation was found: a crash may have come between the generations and their traces.
    yield* this.#remover.forgetTraces();
    this.#finish.run(now(), id);
    const { retrain, started_at_ms: startedAtMs } = row;
    const progress = { id, startedAtMs, reported: row.reported === 1, retrain };
    return { ...removed, ...this.#versionsNow(versions), ...progress };
  }

  /** Erasures whose data is removed, but that are not reported or whose lessons are not taken back. */
  unsettled(): ErasureReport[] {
    return this.#unsettled.all().map(({ subject: _, versions_json, started_at_ms, reported, cleared, ...row }) => ({
      ...row,
      ...this.#versionsNow(JSON.parse(versions_json) as number[]),
      startedAtMs: started_at_ms,
      reported: reported === 1,
      logCleared: cleared === 1,
    }));
  }

  /** Records how far an erasure has come. */
  note({ id, reported, retrain }: ErasureNote): void {
    if (reported === true) this.#setReported.run(id);
    if (retrain !== undefined) this.#setRetrain.run(retrain.to, id, retrain.from);
  }

  #versionsNow(versions: Iterable<number>): Pick<ErasureReport, 'versions' | 'versionsOfAll'> {
    return { versions: sorted(versions), versionsOfAll: this.#allVersions.all() };
  }

  /** Whether copies of erased data may be left in the log, or in free space of the file's pages. */
  get uncleared(): boolean {
    return this.#uncleared.get() !== undefined;
  }

  /** Records that no copies are left. */
  cleared(): void {
    this.#clear.run();
  }

  /**
   * Adds the versions that learned from generations erased meanwhile to the records of those erasures. If what was learned
   * from the data was to be taken back, there is more of it now.
   */
  noteLessons(lessons: readonly Lesson[]): void {
    for (const { generationId, version } of lessons) {
      const id = this.#erasureOf.get(generationId);
      if (id === undefined) continue;
      const versions = new Set(JSON.parse(this.#versionsOfErasure.get(id) ?? '[]') as number[]);
      if (versions.has(version)) continue;
      this.#setVersions.run(JSON.stringify(sorted(versions.add(version))), id);
    }
  }

  #remember(generation: string, erasure: number): void {
    this.#erasureOf.set(generation, erasure);
    if (this.#erasureOf.size <= maxRemembered) return;
    for (const oldest of this.#erasureOf.keys()) {
      this.#erasureOf.delete(oldest);
      return;
    }
  }
}

function sorted(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}
