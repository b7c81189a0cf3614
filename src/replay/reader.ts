/** Reads the store from another process, on a read-only connection: the learner uses it and needs no SQL of its own. */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { sizeOf } from './log-bound.js';
import { openForReading } from './open-file.js';
import { prepareReads, type Reads } from './reads.js';
import { fromSqlite } from './sqlite-errors.js';
import type { Generation, Preference, ReplayChange, Score } from './types.js';

/** Least bytes of the index of a log that a connection has open. */
const indexBytes = 32 * 1024;

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
 *
 * On a full disk the file may have no room for the index of its log. Then each call tries to open it again, and throws
 * `STORE_FULL` until that succeeds.
 * @param path the store's file, which a writer must have created
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_TOO_NEW`
 */
export function openReplayReader(path: string, options: { readonly busyTimeoutMs?: number } = {}): ReplayReader {
  let opened: { readonly database: Database; readonly reads: Reads } | undefined;
  function open() {
    const database = openForReading(path, options.busyTimeoutMs ?? 5000);
    opened = { database, reads: prepareReads(database) };
    return opened;
  }
  try {
    open();
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (error.code !== 'STORE_FULL') throw error;
  }
  /** Opens the file once the writer has, whose index of the log is then on the disk. */
  function openAgain() {
    if (sizeOf(`${path}-shm`) >= indexBytes) return open();
    throw new HoneError('STORE_FULL', `The store ${path} cannot be read without room. Free space on the disk.`);
  }
  function guarded<Args extends unknown[], Result>(
    read: (reads: Reads, ...args: Args) => Result,
  ): (...args: Args) => Result {
    return (...args) => {
      try {
        const { database, reads } = opened ?? openAgain();
        // The statements of a call share a transaction, so that their results belong to one state of the store.
        return database.transaction('deferred', () => read(reads, ...args));
      } catch (thrown) {
        throw fromSqlite(thrown, path);
      }
    };
  }
  return {
    readSince: guarded((reads, sequence: number, limit: number) => reads.readSince(sequence, limit)),
    readGenerations: guarded((reads, ids: readonly string[]) => reads.readGenerations(ids)),
    readScores: guarded((reads, ids: readonly string[]) => reads.readScores(ids)),
    readPreferences: guarded((reads, ids: readonly string[]) => reads.readPreferences(ids)),
    existing: guarded((reads, ids: readonly string[]) => reads.existing(ids)),
    lastSequence: guarded((reads) => reads.lastSequence()),
    close: () => opened?.database.close(),
  };
}
