/**
 * The data directory, and the lock that keeps a second server out.
 *
 * The lock is an exclusive transaction of SQLite on the file `lock`. The operating system holds it while the process
 * lives, so a dead server's lock is free at once, and two servers that start together cannot both take it.
 * `server.json`, which exists while a server listens, names the holder.
 */

import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { HoneError } from '../../src/errors.js';
import { Database, isResult } from '../../src/sqlite/index.js';

/** The content of `server.json`. */
export interface ServerRecord {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** `host:port`, as clients expect it. */
  readonly address: string;
  /** URL of the metrics for Prometheus; `null`: there are none. */
  readonly metrics: string | null;
  readonly startedAtMs: number;
}

export interface DataDirectory {
  readonly path: string;
  readonly replayPath: string;
  readonly versionsPath: string;
  readonly learnerPath: string;
  readonly eventsPath: string;
  /** The mode in which candidates come to serve. */
  readonly modePath: string;
  /** The state of the canary. */
  readonly trialPath: string;
  /** A folder with the place of each background rater in the store. */
  readonly ratersPath: string;
  /** The measurement that chose the threads. */
  readonly threadsPath: string;
  /** Writes `server.json`, for tools on this machine. */
  writeRecord(record: ServerRecord): void;
  /** Removes `server.json` and frees the lock. */
  close(): void;
}

/** What the entries of a data directory must be. */
const entries = {
  lock: 'file',
  'server.json': 'file',
  'replay.sqlite': 'file',
  'events.jsonl': 'file',
  'threads.json': 'file',
  'mode.json': 'file',
  'trial.json': 'file',
  versions: 'folder',
  learner: 'folder',
} as const;

/**
 * Creates the folder (0700) if it is missing, and locks it.
 * @throws HoneError `DATA_DIRECTORY_LOCKED` while another server holds it; `INVALID_OPTIONS` if it cannot be created or
 * written, or if an entry is not what it must be
 */
export function openDataDirectory(path: string): DataDirectory {
  const recordPath = join(path, 'server.json');
  try {
    makeFolder(path);
    chmodSync(path, 0o700);
    for (const [name, kind] of Object.entries(entries)) checkEntry(join(path, name), kind);
  } catch (error) {
    throw cannotBeUsed(path, error);
  }
  const lock = takeLock(path, recordPath);
  rmSync(recordPath, { force: true });
  return {
    path,
    replayPath: join(path, 'replay.sqlite'),
    versionsPath: join(path, 'versions'),
    learnerPath: join(path, 'learner'),
    eventsPath: join(path, 'events.jsonl'),
    modePath: join(path, 'mode.json'),
    trialPath: join(path, 'trial.json'),
    ratersPath: join(path, 'raters'),
    threadsPath: join(path, 'threads.json'),
    writeRecord(record) {
      writeFileSync(`${recordPath}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
      renameSync(`${recordPath}.new`, recordPath);
    },
    close() {
      rmSync(recordPath, { force: true });
      heldLocks.delete(lock);
      lock.close();
    },
  };
}

/**
 * `mkdir -p`, level by level. Node's own never returns on a file system such as `/proc`, which creates no folders and
 * reports that the parent of a new one is missing.
 */
function makeFolder(path: string): void {
  if (isFolder(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have created it meanwhile.
    if (isFolder(path)) return;
    throw existsSync(path) ? new HoneError('INVALID_OPTIONS', `${path} is no folder`) : error;
  }
}

/** False as well if one of its parents is a file, which Node 22 and Node 24 report differently. */
function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

function checkEntry(path: string, kind: 'file' | 'folder'): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (kind === 'folder' ? !found.isDirectory() : !found.isFile()) {
    throw new HoneError('INVALID_OPTIONS', `${path} is no ${kind}; move it away`);
  }
  accessSync(path, constants.R_OK | constants.W_OK);
}

function cannotBeUsed(path: string, error: unknown): HoneError {
  return new HoneError(
    'INVALID_OPTIONS',
    `the data directory ${path} cannot be used: ${messageOf(error)}. It must be a folder that this user can write to: make it so, or name another one with --data`,
    { cause: error },
  );
}

/** Keeps the connections alive: one that is garbage-collected closes, which frees its lock. */
const heldLocks = new Set<Database>();

function takeLock(path: string, recordPath: string): Database {
  let lock: Database | undefined;
  try {
    lock = new Database(join(path, 'lock'), { access: 'create' });
    lock.exec('BEGIN EXCLUSIVE');
    heldLocks.add(lock);
    return lock;
  } catch (error) {
    lock?.close();
    if (!isResult(error, 'SQLITE_BUSY')) throw cannotBeUsed(path, error);
    const holder = readHolder(recordPath);
    throw new HoneError(
      'DATA_DIRECTORY_LOCKED',
      `the data directory ${path} is used by ${holder}; stop that server or choose another folder with --data`,
    );
  }
}

function readHolder(recordPath: string): string {
  try {
    const { pid, address } = JSON.parse(readFileSync(recordPath, 'utf8')) as ServerRecord;
    return `the server with process id ${pid} that listens on ${address}`;
  } catch {
    return 'another server that is starting or stopping';
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
