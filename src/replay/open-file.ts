/**
 * Opening the store's file so that its promises hold: durable commits, erased means erased, one owner, never a silent
 * new store in place of a damaged one.
 *
 * A new store is built under another name and renamed when it is complete: a file that exists under the store's name
 * is therefore either whole or damaged, also when it is empty.
 */

import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';
import { Database } from '../sqlite/index.js';
import { checkLog } from './log-check.js';
import { applicationId, checkIdentity, upgradeSchema } from './schema.js';
import { fromSqlite, remedyForCorruption } from './sqlite-errors.js';

export interface OpenFileOptions {
  /** The database file; its directory is created (0700) when it is missing, the file is 0600. */
  readonly path: string;
  /** How long a statement waits for another connection's lock. */
  readonly busyTimeoutMs: number;
  /** Largest size of the file; a write beyond it is refused with `STORE_FULL`. Null: the disk's. */
  readonly maxFileBytes: number | null;
}

/**
 * The writing connection: WAL, synchronous FULL and secure_delete read back, integrity checked, schema upgraded.
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_FULL`, `STORE_TOO_NEW`
 */
export function openForWriting(options: OpenFileOptions): Database {
  const { path } = options;
  let database: Database | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) createFile(path);
    chmodSync(path, 0o600);
    checkLog(`${path}-wal`);
    checkIntegrity(path, options.busyTimeoutMs);
    database = new Database(path, { access: 'write', busyTimeoutMs: options.busyTimeoutMs });
    setAndReadBack(database, 'journal_mode', 'WAL', 'wal');
    setAndReadBack(database, 'synchronous', 'FULL', 2);
    setAndReadBack(database, 'secure_delete', 'ON', 1);
    setAndReadBack(database, 'foreign_keys', 'ON', 1);
    // Else SQLite may put rows into temporary files of its own, out of reach of an erasure.
    setAndReadBack(database, 'temp_store', 'MEMORY', 2);
    limitSize(database, options.maxFileBytes);
    upgradeSchema(database, path);
    return database;
  } catch (thrown) {
    database?.close();
    throw fromSqlite(thrown, path);
  }
}

/**
 * A read-only connection to a store that a writer has made.
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_TOO_NEW`
 */
export function openForReading(path: string, busyTimeoutMs: number): Database {
  let database: Database | undefined;
  try {
    database = new Database(path, { access: 'read', busyTimeoutMs });
    checkIdentity(database, path);
    return database;
  } catch (thrown) {
    database?.close();
    throw fromSqlite(thrown, path);
  }
}

function createFile(path: string): void {
  if (existsSync(`${path}-wal`)) {
    throw new HoneError('STORE_CORRUPT', `${path} is gone but its log ${path}-wal is there. ${remedyForCorruption()}`);
  }
  const draft = `${path}.new`;
  for (const leftover of [draft, `${draft}-wal`, `${draft}-shm`, `${draft}-journal`]) rmSync(leftover, { force: true });
  closeSync(openSync(draft, 'wx', 0o600));
  const database = new Database(draft, { access: 'write' });
  try {
    database.setPragma('synchronous', 'FULL');
    database.setPragma('application_id', applicationId);
    upgradeSchema(database, draft);
  } finally {
    database.close();
  }
  fsyncPath(draft);
  renameSync(draft, path);
  fsyncPath(dirname(path));
}

function fsyncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Tables, their indexes and constraints (`quick_check` would leave the indexes out and take four fifths of the time:
 * about 5 ms per MB). On a connection that cannot write: the last writing one that closes moves the log into the file,
 * and a damaged store is to stay as it is.
 */
function checkIntegrity(path: string, busyTimeoutMs: number): void {
  const database = openForReading(path, busyTimeoutMs);
  try {
    const findings = database.readPragma('integrity_check(5)');
    if (findings.length === 1 && findings[0] === 'ok') return;
    const text = findings.join('; ');
    throw new HoneError('STORE_CORRUPT', `The store ${path} is damaged: ${text}. ${remedyForCorruption()}`);
  } finally {
    database.close();
  }
}

/** A pragma that is not understood is ignored without a word, hence the reading back. */
function setAndReadBack(database: Database, name: string, value: string, expected: string | number): void {
  database.setPragma(name, value);
  const [found] = database.readPragma(name);
  if (found !== expected) {
    throw new HoneError('INTERNAL', `SQLite keeps ${name} at ${String(found)}; the store needs ${value} to be durable`);
  }
}

function limitSize(database: Database, maxFileBytes: number | null): void {
  if (maxFileBytes === null) return;
  const pageBytes = database.readNumber('page_size');
  database.setPragma('max_page_count', Math.max(1, Math.floor(maxFileBytes / pageBytes)));
}
