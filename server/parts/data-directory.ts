/**
 * The folder that holds everything, and the lock that keeps it to one server.
 *
 * The lock is an exclusive transaction of SQLite on the file `lock`: held by the operating system for as long as the
 * process lives, so a dead server's lock is free at once and two starting servers cannot both take it. Who holds it is
 * read from `server.json`, which is there while a server listens.
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

/** What `server.json` says of the server that listens. */
export interface ServerRecord {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** `host:port`, as a client takes it. */
  readonly address: string;
  /** Where Prometheus finds the metrics; `null`: nowhere. */
  readonly metrics: string | null;
  readonly startedAtMs: number;
}

export interface DataDirectory {
  readonly path: string;
  readonly replayPath: string;
  readonly versionsPath: string;
  readonly learnerPath: string;
  readonly eventsPath: string;
  /** In which mode candidates come to serve. */
  readonly modePath: string;
  /** How far the canary is. */
  readonly trialPath: string;
  /** Folder of how far each background rater has come. */
  readonly ratersPath: string;
  /** What was measured to choose threads. */
  readonly threadsPath: string;
  /** Announces the server, for tools on this machine. */
  writeRecord(record: ServerRecord): void;
  /** Withdraws the announcement and frees the lock. */
  close(): void;
}

/** What a data directory may hold, and as what. */
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
 * Makes the folder (0700) when missing and locks it.
 * @throws HoneError `DATA_DIRECTORY_LOCKED` while another server holds it; `INVALID_OPTIONS` where it cannot be made or
 * written, or something else stands in the place of what it holds
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
 * `mkdir -p`, level by level: Node's own never returns on a file system that makes no folders and says of a new one that
 * its parent is missing, as `/proc` does.
 */
function makeFolder(path: string): void {
  if (isFolder(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Somebody else may have made it in the meantime.
    if (isFolder(path)) return;
    throw existsSync(path) ? new HoneError('INVALID_OPTIONS', `${path} is no folder`) : error;
  }
}

/** False as well where a file stands in the place of one of its parents, which Node 22 and Node 24 report differently. */
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

/** A connection that nothing refers to is closed when it is collected, and its lock would go with it. */
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
