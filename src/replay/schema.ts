/**
 * The store's file format: tables, their version, and the named upgrades that lead from one version to the next.
 *
 * `PRAGMA user_version` is the number of upgrades that have run; `application_id` says that the file is Hone's. Token
 * ids are blobs of little-endian u32, log-probabilities blobs of little-endian f32, everything else is readable as it is.
 */

import type { Database } from 'better-sqlite3';
import { HoneError } from '../errors.js';

/** `PRAGMA application_id` of a replay store: "Hone" in ASCII. */
export const applicationId = 0x486f6e65;

/** Tables of the first format. `changes` is AUTOINCREMENT: a sequence number is never used twice, whatever is deleted. */
function createTables(database: Database): void {
  database.exec(`
    CREATE TABLE generations (
      id TEXT NOT NULL PRIMARY KEY,
      state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled', 'aborted')),
      group_key TEXT NOT NULL,
      package_digest TEXT NOT NULL,
      version INTEGER NOT NULL,
      adapter_digest TEXT NOT NULL,
      subject TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      finished_at_ms INTEGER,
      finish_reason TEXT,
      end_of_sequence INTEGER NOT NULL DEFAULT 0,
      sampling_json TEXT NOT NULL,
      prompt_json TEXT NOT NULL,
      text TEXT NOT NULL DEFAULT '',
      prompt_tokens BLOB NOT NULL,
      tokens BLOB NOT NULL DEFAULT x'',
      logprobs BLOB NOT NULL DEFAULT x'',
      sampled_logprobs BLOB NOT NULL DEFAULT x''
    ) STRICT;
    CREATE INDEX generations_by_state ON generations (state);
    CREATE INDEX generations_by_age ON generations (created_at_ms);
    CREATE TABLE scores (
      generation_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
      rater TEXT NOT NULL,
      metric TEXT NOT NULL,
      value REAL NOT NULL,
      created_at_ms INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      PRIMARY KEY (generation_id, rater, metric)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE changes (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      type TEXT NOT NULL CHECK (type IN ('generation', 'score')),
      generation_id TEXT NOT NULL,
      rater TEXT,
      metric TEXT,
      value REAL
    ) STRICT;
    CREATE TABLE idempotency (
      key TEXT NOT NULL PRIMARY KEY,
      generation_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
      rater TEXT NOT NULL,
      metric TEXT NOT NULL,
      value REAL,
      sequence INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_by_generation ON idempotency (generation_id);
  `);
}

/** Upgrades in order; the n-th leads from version n to n + 1. Never edit one that shipped: append. */
const upgrades: readonly ((database: Database) => void)[] = [createTables];

/** The format that this build writes. */
export const schemaVersion = upgrades.length;

/**
 * Brings a file to {@link schemaVersion}, in one transaction.
 * @throws HoneError `STORE_TOO_NEW` when a later Hone wrote it
 */
export function upgradeSchema(database: Database, path: string): void {
  const from = database.pragma('user_version', { simple: true }) as number;
  if (from === schemaVersion) return;
  if (from > schemaVersion) throw tooNew(path, from);
  database.transaction(() => {
    for (const upgrade of upgrades.slice(from)) upgrade(database);
    database.pragma(`user_version = ${schemaVersion}`);
  })();
}

/**
 * Checks that an existing file is a replay store that this build can read.
 * @throws HoneError `STORE_CORRUPT` when it is something else, `STORE_TOO_NEW` when a later Hone wrote it
 */
export function checkIdentity(database: Database, path: string): void {
  const found = database.pragma('application_id', { simple: true }) as number;
  if (found !== applicationId) {
    throw new HoneError(
      'STORE_CORRUPT',
      `${path} is not a Hone replay store (application_id ${found}). Move it away, or restore the store from a backup.`,
    );
  }
  const version = database.pragma('user_version', { simple: true }) as number;
  if (version > schemaVersion) throw tooNew(path, version);
}

function tooNew(path: string, version: number): HoneError {
  return new HoneError(
    'STORE_TOO_NEW',
    `${path} has format ${version}, this build reads up to ${schemaVersion}. Run the newer Hone that wrote it.`,
  );
}
