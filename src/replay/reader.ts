/** Reads the store from another process, on a read-only connection: the learner uses it and needs no SQL of its own. */

import { openForReading } from './open-file.js';
import { prepareReads } from './reads.js';
import { fromSqlite } from './sqlite-errors.js';
import type { Generation, Preference, ReplayChange, Score } from './types.js';

/** Synchronous reads; each call is one short transaction. */
export interface ReplayReader {
  /** Returns the changes after `sequence`, in order, at most `limit`. */
  readSince(sequence: number, limit: number): ReplayChange[];
  readGenerations(ids: readonly string[]): Generation[];
  readScores(generationIds: readonly string[]): Score[];
  /** Returns the preferences that involve any of these generations, each once. */
  readPreferences(generationIds: readonly string[]): Preference[];
  /** Returns those of these generations that are still stored. */
  existing(ids: readonly string[]): string[];
  lastSequence(): number;
  close(): void;
}

/**
 * Opens a store for reading. It reads committed data only. Between calls a reader delays neither the writer nor its
 * checkpoints. Answers leave out unknown generation ids.
 * @param path the store's file, which a writer must have created
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_TOO_NEW`
 */
export function openReplayReader(path: string, options: { readonly busyTimeoutMs?: number } = {}): ReplayReader {
  const database = openForReading(path, options.busyTimeoutMs ?? 5000);
  const reads = prepareReads(database);
  function guarded<Args extends unknown[], Result>(read: (...args: Args) => Result): (...args: Args) => Result {
    return (...args) => {
      try {
        // The statements of a call share a transaction, so that their results belong to one state of the store.
        return database.transaction('deferred', () => read(...args));
      } catch (thrown) {
        throw fromSqlite(thrown, path);
      }
    };
  }
  return {
    readSince: guarded(reads.readSince),
    readGenerations: guarded(reads.readGenerations),
    readScores: guarded(reads.readScores),
    readPreferences: guarded(reads.readPreferences),
    existing: guarded(reads.existing),
    lastSequence: guarded(reads.lastSequence),
    close: () => void database.close(),
  };
}
