/**
 * The tables of the store, as the upgrades that make them: each leads from one version of the format to the next. Never
 * edit an upgrade that was released; append another one.
 *
 * Token ids are blobs of little-endian u32, log-probabilities are blobs of little-endian f32. Everything else can be read
 * with any SQLite tool.
 */

import type { Database } from '../sqlite/index.js';
import { scoreContent } from './idempotency.js';
import { promptDigest } from './prompt-digest.js';

/** Makes the tables of format 1. `changes` is AUTOINCREMENT, so that no sequence number is used twice after a deletion. */
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
 * Adds preferences, edits, lessons and erasures, and stores equal prompts once. Prompts of format 1 held the app's labels,
 * which move to `metadata_json`. An erasure holds the name of its subject only until it is done.
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
    -- Neither index nor reference by generation, because scores are written far more often than generations are removed.
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

/** Adds what is left of an erasure after its data is removed. Those of earlier formats were reported when they ended. */
function addErasureProgress(database: Database): void {
  database.exec(`
    ALTER TABLE erasures ADD COLUMN retrain TEXT NOT NULL DEFAULT 'none'
      CHECK (retrain IN ('none', 'versions', 'learner', 'done'));
    ALTER TABLE erasures ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
    UPDATE erasures SET reported = 1 WHERE finished_at_ms IS NOT NULL;
  `);
}

/** The upgrades in order: the n-th leads from version n to n + 1. */
export const upgrades: readonly ((database: Database) => void)[] = [
  createTables,
  addPromptsAndKinds,
  addErasureProgress,
];
