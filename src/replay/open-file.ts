/**
 * Opens the store's file so that its promises hold: commits are durable, erased data is overwritten, and a damaged store
 * is refused instead of replaced by a new one.
 *
 * A new store is built under another name and renamed when it is complete. A file with the store's name is therefore
 * either complete or damaged, even if it is empty.
 */

import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';
import { Database, isResult } from '../sqlite/index.js';
import { sizeOf } from './log-bound.js';
import { checkLog } from './log-check.js';
import { applicationId, checkIdentity, upgradeSchema } from './schema.js';
import { fromSqlite, remedyForCorruption } from './sqlite-errors.js';

export interface OpenFileOptions {
  /** The database file (0600). Its directory is created (0700) if it is missing. */
  readonly path: string;
  /** The log keeps at most so many bytes on the disk once it was emptied. */
  readonly maxLogBytes: number;
  /** Largest size of the file; a write beyond it throws `STORE_FULL`. Null: as large as the disk allows. */
  readonly maxFileBytes: number | null;
}

/** How long opening waits for another connection's lock, milliseconds. An open connection never waits by itself. */
const openingBusyMs = 5000;

/**
 * Opens the writing connection. It checks the integrity of the file, sets WAL, synchronous FULL and secure_delete, reads
 * them back, and upgrades the schema. Another program's lock for writing is no obstacle, unless there is an upgrade.
 * @param isChecked whether the file was checked a moment ago
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_FULL`, `STORE_TOO_NEW`
 */
export function openForWriting(options: OpenFileOptions, isChecked = false): Database {
  const { path, maxLogBytes } = options;
  let database: Database | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) createFile(path);
    chmodSync(path, 0o600);
    checkLog(`${path}-wal`);
    if (!isChecked) checkIntegrity(() => openForReading(path, openingBusyMs), path);
    database = new Database(path, { access: 'write', busyTimeoutMs: openingBusyMs });
    setAndReadBack(database, 'journal_mode', 'WAL', 'wal');
    setAndReadBack(database, 'synchronous', 'FULL', 2);
    setAndReadBack(database, 'secure_delete', 'ON', 1);
    setAndReadBack(database, 'foreign_keys', 'ON', 1);
    // Otherwise SQLite may put rows into temporary files of its own, which an erasure does not reach.
    setAndReadBack(database, 'temp_store', 'MEMORY', 2);
    setAndReadBack(database, 'journal_size_limit', String(maxLogBytes), maxLogBytes);
    limitSize(database, options.maxFileBytes);
    upgradeSchema(database, path);
    setAndReadBack(database, 'busy_timeout', '0', 0);
    return database;
  } catch (thrown) {
    database?.close();
    throw openingError(thrown, path);
  }
}

/**
 * Opens a store on a full disk for reading. SQLite needs room for the index of the log before it reads anything, so the
 * file is read without one. That shows all of it only if no log lies beside it.
 *
 * The connection has no locks. Closing it would release those of other connections of this process, so it has to be closed
 * before the file is opened again.
 * @param isChecked whether the file was checked a moment ago
 * @throws HoneError `STORE_CORRUPT`, `STORE_TOO_NEW`, and `STORE_FULL` if there is a log
 */
export function openWithoutRoom(path: string, isChecked = false): Database {
  const open = (): Database => {
    const database = new Database(path, { access: 'read', immutable: true });
    try {
      checkIdentity(database, path);
      return database;
    } catch (thrown) {
      database.close();
      throw thrown;
    }
  };
  if (!existsSync(path) || sizeOf(`${path}-wal`) > 0) {
    throw new HoneError('STORE_FULL', `The store ${path} cannot be opened without room. Free space on the disk.`);
  }
  try {
    if (!isChecked) checkIntegrity(open, path);
    return open();
  } catch (thrown) {
    throw fromSqlite(thrown, path);
  }
}

/**
 * Opens a read-only connection to a store that a writer has made.
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
    throw openingError(thrown, path);
  }
}

/**
 * The error of a file that cannot be opened. SQLite does not say why it could not make a file of its own, or make it
 * longer, so a full disk is found by a trial.
 */
function openingError(thrown: unknown, path: string): HoneError {
  const unclear = isResult(thrown, 'SQLITE_CANTOPEN') || isResult(thrown, 'SQLITE_IOERR');
  const error = fromSqlite((unclear ? whyNoFile(path) : undefined) ?? thrown, path);
  if (error.code !== 'STORE_BUSY') return error;
  return new HoneError('STORE_LOCKED', error.message, { cause: thrown });
}

/** The error of the system when a file of a few pages is written beside the store; undefined if that succeeds. */
export function whyNoFile(path: string): unknown {
  const trial = `${path}.trial`;
  try {
    writeFileSync(trial, new Uint8Array(64 * 1024), { mode: 0o600 });
    return undefined;
  } catch (thrown) {
    return thrown;
  } finally {
    rmSync(trial, { force: true });
  }
}

function createFile(path: string): void {
  if (existsSync(`${path}-wal`)) {
    throw new HoneError('STORE_CORRUPT', `${path} is missing but its log ${path}-wal exists. ${remedyForCorruption()}`);
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
 * Checks tables, their indexes and constraints, in about 5 ms per MB. (`quick_check` would leave the indexes out and take
 * four fifths of the time.) The connection cannot write, because the last writing connection that closes moves the log
 * into the file, and a damaged store must stay as it is.
 */
function checkIntegrity(open: () => Database, path: string): void {
  const database = open();
  try {
    const findings = database.readPragma('integrity_check(5)');
    if (findings.length === 1 && findings[0] === 'ok') return;
    const text = findings.join('; ');
    throw new HoneError('STORE_CORRUPT', `The store ${path} is damaged: ${text}. ${remedyForCorruption()}`);
  } finally {
    database.close();
  }
}

/** Reads the pragma back because SQLite silently ignores one that it does not know. */
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
