/** Waits for a lock that another process holds. */

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileSystemError } from '../file-system-errors.js';
import { takeFileLock } from './file-lock.js';

export interface LockWait {
  readonly signal?: AbortSignal | undefined;
  /** Called once if another process holds the lock, with the time between two looks at it, milliseconds. */
  readonly onWait: (lookEveryMs: number) => void;
}

const lookEveryMs = 250;

/**
 * Runs `work` under the lock at `path`, whose folder is made. The system frees the lock if this process dies.
 * @throws the signal's reason if it aborts while another process holds the lock; HoneError as {@link takeFileLock}
 */
export async function underFileLock<Result>(
  path: string,
  { signal, onWait }: LockWait,
  work: () => Promise<Result>,
): Promise<Result> {
  const folder = dirname(path);
  try {
    await mkdir(folder, { recursive: true });
  } catch (thrown) {
    throw fileSystemError(thrown, `the cache cannot be written at ${folder}`);
  }
  let lock = takeFileLock(path);
  if (lock === null) onWait(lookEveryMs);
  while (lock === null) {
    await delay(lookEveryMs, undefined, { signal });
    lock = takeFileLock(path);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}
