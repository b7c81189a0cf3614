/** Reading the store: prepared statements, each call one short transaction. */

import type { Database } from 'better-sqlite3';
import { openForReading } from './open-file.js';
import { type ChangeRow, type GenerationRow, type ScoreRow, toChange, toGeneration, toScore } from './rows.js';
import { fromSqlite } from './sqlite-errors.js';
import type { Generation, ReplayChange, ReplayReader, ReplayStats, Score } from './types.js';

/** Reads of one connection; the writer has one on its own connection, readers on theirs. */
export function prepareReads(database: Database) {
  const since = database.prepare<[number, number], ChangeRow>(
    'SELECT * FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?',
  );
  const generation = database.prepare<[string], GenerationRow>('SELECT * FROM generations WHERE id = ?');
  const scores = database.prepare<[string], ScoreRow>('SELECT * FROM scores WHERE generation_id = ?');
  const last = database
    .prepare<[], number>("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'")
    .pluck();
  const states = database.prepare<[], { state: string; count: number }>(
    'SELECT state, count(*) AS count FROM generations GROUP BY state',
  );
  const scoreCounts = database.prepare<[], { scores: number; generations: number }>(
    'SELECT count(*) AS scores, count(DISTINCT generation_id) AS generations FROM scores',
  );
  const oldest = database.prepare<[], number | null>('SELECT min(created_at_ms) FROM generations').pluck();

  return {
    readSince: (sequence: number, limit: number): ReplayChange[] => since.all(sequence, limit).map(toChange),
    readGenerations: (ids: readonly string[]): Generation[] =>
      ids.flatMap((id) => {
        const row = generation.get(id);
        return row === undefined ? [] : [toGeneration(row)];
      }),
    readScores: (ids: readonly string[]): Score[] => ids.flatMap((id) => scores.all(id).map(toScore)),
    lastSequence: (): number => last.get() ?? 0,
    stats(): ReplayStats {
      const counts = new Map(states.all().map((row) => [row.state, row.count]));
      const scored = scoreCounts.get() ?? { scores: 0, generations: 0 };
      const pages = database.pragma('page_count', { simple: true }) as number;
      return {
        generations: [...counts.values()].reduce((sum, count) => sum + count, 0),
        finished: counts.get('finished') ?? 0,
        running: counts.get('running') ?? 0,
        aborted: counts.get('aborted') ?? 0,
        scores: scored.scores,
        scoredGenerations: scored.generations,
        lastSequence: last.get() ?? 0,
        oldestGenerationAtMs: oldest.get() ?? null,
        fileBytes: pages * (database.pragma('page_size', { simple: true }) as number),
      };
    },
  };
}

/**
 * Opens a store for reading; what it returns is committed, and a long-lived reader holds up neither the writer nor its
 * checkpoints between calls. Unknown generation ids are left out of the answers.
 * @param path the store's file; a writer must have created it
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_TOO_NEW`
 */
export function openReplayReader(path: string, options: { readonly busyTimeoutMs?: number } = {}): ReplayReader {
  const database = openForReading(path, options.busyTimeoutMs ?? 5000);
  const reads = prepareReads(database);
  // One transaction around a call's statements: what it returns belongs to one moment of the store.
  const within = database.transaction((read: () => unknown) => read());
  function guarded<Args extends unknown[], Result>(read: (...args: Args) => Result): (...args: Args) => Result {
    return (...args) => {
      try {
        return within.deferred(() => read(...args)) as Result;
      } catch (thrown) {
        throw fromSqlite(thrown, path);
      }
    };
  }
  return {
    readSince: guarded(reads.readSince),
    readGenerations: guarded(reads.readGenerations),
    readScores: guarded(reads.readScores),
    lastSequence: guarded(reads.lastSequence),
    close: () => void database.close(),
  };
}
