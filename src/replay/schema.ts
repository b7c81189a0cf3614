/**
 * The store's file format: tables, their version, and the named upgrades that lead from one version to the next.
 *
 * `PRAGMA user_version` is the number of upgrades that have run; `application_id` says that the file is Hone's. Token
 * ids are blobs of little-endian u32, log-probabilities blobs of little-endian f32, everything else is readable as it is.
 */

import { createHash } from 'node:crypto';
import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { scoreContent } from './idempotency.js';

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

/**
 * Prompts once for all who sent them, preferences, edits, which version learned from what, and what was erased. Prompts
 * held the app's labels before. An erasure names its subject only until it is done.
 */
function addPromptsAndKinds(database: Database): void {
  database.defineFunction('prompt_digest', (key, json) => promptDigest(String(key), String(json)));
  database.defineFunction('score_content', (rater, metric, value) =>
    scoreContent(String(rater), String(metric), value === null ? null : Number(value)),
  );
  database.exec(`
    CREATE TABLE prompts (
      id INTEGER PRIMARY KEY,
      digest BLOB NOT NULL UNIQUE,
      prompt_tokens BLOB NOT NULL,
      prompt_json TEXT NOT NULL
    ) STRICT;
    ALTER TABLE generations ADD COLUMN origin TEXT NOT NULL DEFAULT 'sampled'
      CHECK (origin IN ('sampled', 'edit', 'explored', 'shadow'));
    ALTER TABLE generations ADD COLUMN edit_of TEXT;
    ALTER TABLE generations ADD COLUMN metadata_json TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE generations ADD COLUMN prompt_id INTEGER REFERENCES prompts (id);
    UPDATE generations SET metadata_json = coalesce(json_extract(prompt_json, '$.metadata'), '{}'),
      prompt_json = json_remove(prompt_json, '$.metadata');
    INSERT OR IGNORE INTO prompts (digest, prompt_tokens, prompt_json)
      SELECT prompt_digest(group_key, prompt_json), prompt_tokens, prompt_json FROM generations ORDER BY created_at_ms;
    UPDATE generations SET prompt_id = (SELECT id FROM prompts WHERE digest = prompt_digest(group_key, prompt_json));
    ALTER TABLE generations DROP COLUMN prompt_tokens;
    ALTER TABLE generations DROP COLUMN prompt_json;
    CREATE INDEX generations_by_prompt ON generations (prompt_id);
    CREATE INDEX generations_by_subject ON generations (subject) WHERE subject <> '';
    CREATE INDEX generations_by_edit ON generations (edit_of) WHERE edit_of IS NOT NULL;

    CREATE TABLE preferences (
      first_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
      second_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
      rater TEXT NOT NULL,
      metric TEXT NOT NULL,
      outcome INTEGER NOT NULL CHECK (outcome IN (-1, 0, 1)),
      created_at_ms INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      PRIMARY KEY (first_id, second_id, rater, metric)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX preferences_by_second ON preferences (second_id);

    CREATE TABLE lessons (
      generation_id TEXT NOT NULL REFERENCES generations (id) ON DELETE CASCADE,
      version INTEGER NOT NULL,
      PRIMARY KEY (generation_id, version)
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE changes RENAME TO changes_1;
    CREATE TABLE changes (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      type TEXT NOT NULL CHECK (type IN ('generation', 'score', 'preference', 'removed')),
      generation_id TEXT,
      other_id TEXT,
      rater TEXT,
      metric TEXT,
      value REAL
    ) STRICT;
    INSERT INTO sqlite_sequence (name, seq) SELECT 'changes', seq FROM sqlite_sequence WHERE name = 'changes_1';
    INSERT INTO changes (sequence, type, generation_id, rater, metric, value)
      SELECT sequence, type, generation_id, rater, metric, value FROM changes_1;
    DROP TABLE changes_1;

    ALTER TABLE idempotency RENAME TO idempotency_1;
    DROP INDEX idempotency_by_generation;
    -- No index and no reference by generation: a score is written far more often than a generation is removed.
    CREATE TABLE idempotency (
      key TEXT NOT NULL PRIMARY KEY,
      generation_id TEXT NOT NULL,
      content TEXT NOT NULL,
      sequence INTEGER NOT NULL,
      result_id TEXT
    ) STRICT, WITHOUT ROWID;
    INSERT INTO idempotency (key, generation_id, content, sequence)
      SELECT key, generation_id, score_content(rater, metric, value), sequence FROM idempotency_1;
    DROP TABLE idempotency_1;

    CREATE TABLE erasures (
      id INTEGER PRIMARY KEY,
      started_at_ms INTEGER NOT NULL,
      finished_at_ms INTEGER,
      cleared INTEGER NOT NULL DEFAULT 0,
      subject TEXT,
      generations INTEGER NOT NULL DEFAULT 0,
      scores INTEGER NOT NULL DEFAULT 0,
      preferences INTEGER NOT NULL DEFAULT 0,
      prompts INTEGER NOT NULL DEFAULT 0,
      versions_json TEXT NOT NULL DEFAULT '[]'
    ) STRICT;
  `);
}

/** By what a prompt is kept once: its tokens under one package, and the words in which it was asked. */
export function promptDigest(groupKey: string, promptJson: string): Uint8Array {
  return createHash('sha256').update(groupKey).update(promptJson).digest();
}

/** Upgrades in order; the n-th leads from version n to n + 1. Never edit one that shipped: append. */
const upgrades: readonly ((database: Database) => void)[] = [createTables, addPromptsAndKinds];

/** The format that this build writes. */
export const schemaVersion = upgrades.length;

/**
 * Brings a file to {@link schemaVersion}, in one transaction.
 * @throws HoneError `STORE_TOO_NEW` when a later Hone wrote it
 */
export function upgradeSchema(database: Database, path: string): void {
  const from = database.readNumber('user_version');
  if (from === schemaVersion) return;
  if (from > schemaVersion) throw tooNew(path, from);
  // While tables change places nothing may be deleted in their wake.
  database.setPragma('foreign_keys', 'OFF');
  database.transaction('immediate', () => {
    for (const upgrade of upgrades.slice(from)) upgrade(database);
    database.setPragma('user_version', schemaVersion);
  });
  database.setPragma('foreign_keys', 'ON');
}

/**
 * Checks that an existing file is a replay store that this build can read.
 * @throws HoneError `STORE_CORRUPT` when it is something else, `STORE_TOO_NEW` when a later Hone wrote it
 */
export function checkIdentity(database: Database, path: string): void {
  const found = database.readNumber('application_id');
  if (found !== applicationId) {
    throw new HoneError(
      'STORE_CORRUPT',
      `${path} is not a Hone replay store (application_id ${found}). Move it away, or restore the store from a backup.`,
    );
  }
  const version = database.readNumber('user_version');
  if (version > schemaVersion) throw tooNew(path, version);
}

function tooNew(path: string, version: number): HoneError {
  return new HoneError(
    'STORE_TOO_NEW',
    `${path} has format ${version}, this build reads up to ${schemaVersion}. Run the newer Hone that wrote it.`,
  );
}
