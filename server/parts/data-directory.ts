/**
 * The data directory, and the lock that keeps a second server out.
 *
 * The operating system holds the lock while the process lives (`src/sqlite/file-lock.ts`). `server.json`, which exists
 * while a server listens, names the holder. A lock that is free does not prove that no server runs: its file may have been
 * deleted or replaced. So a server that starts also asks whether the process of `server.json` still runs.
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
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { HoneError } from '../../src/errors.js';
import { fileSystemError } from '../../src/file-system-errors.js';
import { isSameFile, takeFileLock } from '../../src/sqlite/index.js';
import { answers, isRunning, ownProcess, type RecordedProcess } from './recorded-process.js';

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

/** What `server.json` holds besides: which process wrote it, and for which folder. A copy is another folder. */
interface WrittenRecord extends ServerRecord {
  readonly process?: RecordedProcess;
  readonly folder?: Pick<Stats, 'dev' | 'ino'>;
}

export interface DataDirectory {
  readonly path: string;
  readonly replayPath: string;
  readonly versionsPath: string;
  /** The copy of the version log. */
  readonly versionsCopyPath: string;
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
  /** Whether the last server in this folder was killed while it served. */
  readonly wasKilled: boolean;
  /** Calls `onLost` within a second after the folder or its lock was deleted, renamed or replaced. */
  watch(onLost: (error: HoneError) => void): void;
  /** Whether the path still leads to the folder that was opened. Otherwise another server may work there. */
  isInPlace(): boolean;
  /** Writes `server.json`, for tools on this machine. @throws HoneError `STORE_FULL` and other errors of the disk */
  writeRecord(record: ServerRecord): void;
  /** Removes `server.json`, after which a kill loses nothing of the store. Idempotent. */
  removeRecord(): void;
  /** Removes `server.json` if it is there, and frees the lock. */
  close(): void;
}

/** What the entries of a data directory must be. */
const entries = {
  lock: 'file',
  'server.json': 'file',
  'replay.sqlite': 'file',
  'events.jsonl': 'file',
  'events.last': 'file',
  'directory.json': 'file',
  spare: 'file',
  'versions.copy.jsonl': 'file',
  'threads.json': 'file',
  'mode.json': 'file',
  'trial.json': 'file',
  versions: 'folder',
  learner: 'folder',
  raters: 'folder',
} as const;

/**
 * Creates the folder (0700) if it is missing, and locks it.
 * @throws HoneError `DATA_DIRECTORY_LOCKED` while another server works in it; `STORE_FULL`, `SYSTEM_LIMIT` or
 * `INVALID_OPTIONS` if it cannot be created or written, or if an entry is not what it must be
 */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  const recordPath = join(path, 'server.json');
  let folder: Stats;
  try {
    makeFolder(path);
    chmodSync(path, 0o700);
    folder = statSync(path);
    for (const [name, kind] of Object.entries(entries)) checkEntry(join(path, name), kind);
  } catch (thrown) {
    throw cannotBeUsed(path, thrown);
  }
  const lock = tryLock(path);
  const recorded = readRecord(recordPath);
  const wasKilled = recorded?.folder !== undefined && isSameFile(recorded.folder, folder);
  if (lock === null) throw inUse(path, recorded);
  if (recorded !== null && (await stillRuns(recorded, folder))) {
    lock.release();
    throw inUse(path, recorded);
  }
  rmSync(recordPath, { force: true });
  const isInPlace = () => {
    const found = statSync(path, { throwIfNoEntry: false });
    return found !== undefined && isSameFile(found, folder);
  };
  const removeRecord = () => {
    // In another folder, or under a lock that was replaced, the file may be another server's.
    if (readRecord(recordPath)?.pid === process.pid) rmSync(recordPath, { force: true });
  };
  let isClosed = false;
  return {
    path,
    replayPath: join(path, 'replay.sqlite'),
    versionsPath: join(path, 'versions'),
    versionsCopyPath: join(path, 'versions.copy.jsonl'),
    learnerPath: join(path, 'learner'),
    eventsPath: join(path, 'events.jsonl'),
    modePath: join(path, 'mode.json'),
    trialPath: join(path, 'trial.json'),
    ratersPath: join(path, 'raters'),
    threadsPath: join(path, 'threads.json'),
    wasKilled,
    isInPlace,
    watch: (onLost) => lock.watch(() => onLost(lost(path, isInPlace()))),
    writeRecord(record) {
      const { dev, ino } = folder;
      const written: WrittenRecord = { ...record, process: ownProcess(), folder: { dev, ino } };
      try {
        writeFileSync(`${recordPath}.new`, `${JSON.stringify(written)}\n`, { mode: 0o600 });
        renameSync(`${recordPath}.new`, recordPath);
      } catch (thrown) {
        rmSync(`${recordPath}.new`, { force: true });
        throw fileSystemError(thrown, `${recordPath} cannot be written`);
      }
    },
    removeRecord,
    close() {
      if (isClosed) return;
      isClosed = true;
      removeRecord();
      lock.release();
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

function cannotBeUsed(path: string, thrown: unknown): HoneError {
  const what = `the data directory ${path} cannot be used`;
  if (thrown instanceof HoneError) {
    if (thrown.code !== 'INVALID_OPTIONS') return thrown;
    return new HoneError('INVALID_OPTIONS', `${what}: ${thrown.message}, or name another folder with --data`);
  }
  const error = fileSystemError(thrown, what);
  if (error.code !== 'INVALID_OPTIONS' && error.code !== 'INTERNAL') return error;
  const remedy = 'it must be a folder that this user can write to, or name another one with --data';
  return new HoneError('INVALID_OPTIONS', `${error.message}; ${remedy}`, { cause: thrown });
}

function tryLock(path: string): ReturnType<typeof takeFileLock> {
  try {
    return takeFileLock(join(path, 'lock'));
  } catch (thrown) {
    throw cannotBeUsed(path, thrown);
  }
}

function readRecord(path: string): WrittenRecord | null {
  try {
    const record = Object(JSON.parse(readFileSync(path, 'utf8')));
    return Number.isSafeInteger(record.pid) && typeof record.address === 'string' ? record : null;
  } catch {
    return null;
  }
}

/** Whether the server of a record works in this folder now, though its lock is free. */
async function stillRuns({ pid, host, port, process: recorded, folder }: WrittenRecord, here: Stats): Promise<boolean> {
  // Earlier Hones did not record the folder. A copy holds the record of another folder.
  if (recorded === undefined || folder === undefined || !isSameFile(folder, here)) return false;
  return isRunning(pid, recorded) ?? (await answers(host, port));
}

function inUse(path: string, recorded: WrittenRecord | null): HoneError {
  const holder =
    recorded === null
      ? 'another server that is starting or stopping'
      : `the server with process id ${recorded.pid} that listens on ${recorded.address}`;
  return new HoneError(
    'DATA_DIRECTORY_LOCKED',
    `the data directory ${path} is used by ${holder}; stop that server or choose another folder with --data`,
  );
}

function lost(path: string, isInPlace: boolean): HoneError {
  const what = isInPlace ? `the lock ${join(path, 'lock')} was` : `the data directory ${path} was`;
  return new HoneError(
    'DATA_DIRECTORY_LOST',
    `${what} deleted, renamed or replaced while the server ran, so another server could work on the same files. This server stops and is not started again; leave the folder alone while a server runs`,
  );
}
