/**
 * A lock that the operating system holds while the process lives: an exclusive transaction of SQLite on an empty file.
 * The lock of a process that was killed is free at once, two processes that start together cannot both take it, and a
 * copy of the file is not locked.
 *
 * The lock belongs to the file, not to its name. If the file is deleted, renamed or replaced, another process can lock
 * the name. So the holder compares the two twice a second.
 */

import { closeSync, openSync, type Stats, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HoneError } from '../errors.js';
import { fileSystemError, systemCode } from '../file-system-errors.js';
import { Database } from './database.js';
import { isResult } from './result-codes.js';

export interface FileLock {
  readonly path: string;
  /** Whether the name still belongs to the locked file. */
  isInPlace(): boolean;
  /** Calls `onLost` once, within a second after the name belongs to another file or to none. */
  watch(onLost: () => void): void;
  /** Frees the lock and leaves the file. Idempotent. */
  release(): void;
}

/** Time between two comparisons of the name with the locked file, milliseconds. */
const lookEveryMs = 500;

/** Keeps the connections alive: one that is garbage-collected closes, which frees its lock. */
const held = new Set<Database>();

/**
 * Takes the lock, and makes the file (empty, 0600 by the umask) if it is missing.
 * @returns null if another process, or another part of this one, holds it
 * @throws HoneError `INVALID_OPTIONS` if the file is something else or the file system cannot lock it; `STORE_FULL`,
 * `SYSTEM_LIMIT`
 */
export function takeFileLock(path: string): FileLock | null {
  // Hone never writes into the file.
  if (sizeOf(path) > 0) throw foreign(path);
  let database: Database | undefined;
  try {
    database = new Database(path, { access: 'create' });
    // Otherwise SQLite writes a journal before it changes the empty file, which a full disk keeps it from.
    database.setPragma('journal_mode', 'MEMORY');
    database.exec('BEGIN EXCLUSIVE');
    const identity = statSync(path);
    held.add(database);
    return new HeldLock(path, database, identity);
  } catch (thrown) {
    database?.close();
    if (isResult(thrown, 'SQLITE_BUSY')) return null;
    if (isResult(thrown, 'SQLITE_NOTADB') || isResult(thrown, 'SQLITE_CORRUPT')) throw foreign(path);
    throw cannotLock(path, thrown);
  }
}

/** Whether two files, or two names of files, are the same file. */
export function isSameFile(a: Pick<Stats, 'dev' | 'ino'>, b: Pick<Stats, 'dev' | 'ino'>): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

class HeldLock implements FileLock {
  readonly path: string;
  readonly #database: Database;
  readonly #identity: Pick<Stats, 'dev' | 'ino'>;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, database: Database, identity: Pick<Stats, 'dev' | 'ino'>) {
    this.path = path;
    this.#database = database;
    this.#identity = identity;
  }

  isInPlace(): boolean {
    try {
      return isSameFile(statSync(this.path), this.#identity);
    } catch (thrown) {
      return !isMissing(thrown);
    }
  }

  watch(onLost: () => void): void {
    let looking = false;
    this.#timer = setInterval(() => {
      if (looking) return;
      looking = true;
      stat(this.path)
        .then(
          (found) => isSameFile(found, this.#identity),
          (thrown) => !isMissing(thrown),
        )
        .then((inPlace) => {
          looking = false;
          if (inPlace || this.#timer === undefined) return;
          this.#stopWatching();
          onLost();
        });
    }, lookEveryMs).unref();
  }

  release(): void {
    this.#stopWatching();
    held.delete(this.#database);
    this.#database.close();
  }

  #stopWatching(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch (thrown) {
    throw fileSystemError(thrown, `the lock ${path} cannot be taken`);
  }
}

/** Any other error tells nothing about the file, such as one of a disk that fails. */
function isMissing(thrown: unknown): boolean {
  const code = systemCode(thrown);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function foreign(path: string): HoneError {
  return new HoneError(
    'INVALID_OPTIONS',
    `${path} is no lock of this Hone: it holds something, and the lock is an empty file. If no server uses this folder, delete the file and start again`,
  );
}

/** SQLite does not tell why it cannot open a file, so the system is asked. No lock is held on the file, which closing would free. */
function cannotLock(path: string, thrown: unknown): HoneError {
  const what = `the lock ${path} cannot be taken`;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  if (isResult(thrown, 'SQLITE_FULL') || isResult(thrown, 'SQLITE_IOERR_WRITE')) {
    return new HoneError('STORE_FULL', `${what}: ${reason}; free space on the disk`, { cause: thrown });
  }
  try {
    closeSync(openSync(path, 'a'));
  } catch (failure) {
    return fileSystemError(failure, what);
  }
  return new HoneError(
    'INVALID_OPTIONS',
    `${what}: ${reason}. The file system must support locks of files, as local disks do; use a folder on a local disk`,
    { cause: thrown },
  );
}
