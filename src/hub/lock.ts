/** One download or removal in a repository of the cache at a time, among all processes of Hone. */

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileSystemError } from '../file-system-errors.js';
import { takeFileLock } from '../sqlite/index.js';
import type { RepositoryFolder } from './cache-layout.js';
import type { AskOptions } from './hub-client.js';

const lookEveryMs = 250;

/** Runs `work` under the lock of a repository; waits while another process holds it. The system frees it if this one dies. */
export async function withLock<T>(
  { lock: path, root }: RepositoryFolder,
  { signal, onWait }: AskOptions,
  work: () => Promise<T>,
): Promise<T> {
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (thrown) {
    throw fileSystemError(thrown, `the cache cannot be written at ${dirname(path)}`);
  }
  let lock = takeFileLock(path);
  if (lock === null) onWait(`another process is fetching into ${root}`, lookEveryMs);
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
