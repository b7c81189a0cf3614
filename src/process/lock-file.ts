/**
 * A file that records which process holds a directory. It holds the process id and the start time, so that the lock of
 * a killed process is recognised even if the system has given its id to another process.
 */

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { HoneError } from '../errors.js';

export interface LockFile {
  readonly path: string;
  /** Frees the directory. Idempotent. */
  release(): void;
}

interface Owner {
  readonly pid: number;
  /** In the kernel's clock ticks; `null` if the system does not report it. */
  readonly startedAt: string | null;
}

/**
 * Takes the lock. If its owner is dead, the lock changes hands.
 * @throws HoneError `DATA_DIRECTORY_LOCKED` if a living process holds it
 */
export function acquireLockFile(path: string): LockFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const own = JSON.stringify({ pid: process.pid, startedAt: startTime(process.pid) } satisfies Owner);
  for (let attempt = 0; attempt < 10; attempt++) {
    if (tryCreate(path, own)) return lock(path, own);
    const found = readIfThere(path);
    if (found === null) continue;
    const owner = parseOwner(found);
    if (owner !== null && isAlive(owner)) {
      throw new HoneError(
        'DATA_DIRECTORY_LOCKED',
        `${dirname(path)} is in use by process ${owner.pid}. Stop that process, or choose another data directory.`,
      );
    }
    removeStale(path, found);
  }
  throw new HoneError(
    'DATA_DIRECTORY_LOCKED',
    `several processes are taking the lock ${path} at the same time; try again`,
  );
}

function lock(path: string, own: string): LockFile {
  return {
    path,
    release() {
      if (readIfThere(path) === own) rmSync(path, { force: true });
    },
  };
}

/**
 * Writes the lock under another name and links it, so that it appears with its content. The link fails if a lock
 * exists.
 */
function tryCreate(path: string, content: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw HoneError.from(error);
  } finally {
    unlinkSync(draft);
  }
}

/**
 * If several processes find a stale lock, one moves it away. A process that moved a fresh lock by mistake puts it back.
 */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readIfThere(aside) !== stale) {
    try {
      linkSync(aside, path);
    } catch {
      // A third process has taken the lock meanwhile, so that the directory is still held.
    }
  }
  rmSync(aside, { force: true });
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function parseOwner(content: string): Owner | null {
  try {
    const { pid, startedAt = null } = Object(JSON.parse(content));
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, startedAt } : null;
  } catch {
    return null;
  }
}

function isAlive({ pid, startedAt }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startedAt === null || startTime(pid) === startedAt;
}

/** Reads field 22 of Linux's `/proc/<pid>/stat`. Counting starts after field 2, a name that may hold spaces. */
function startTime(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
