/** One download or removal in a repository of the cache at a time, among all processes of Hone. */

import { underFileLock } from '../sqlite/index.js';
import type { RepositoryFolder } from './cache-layout.js';
import type { AskOptions } from './hub-client.js';

/** Runs `work` under the lock of a repository; waits while another process holds it. The system frees it if this one dies. */
export function withLock<T>(
  { lock, root }: RepositoryFolder,
  { signal, onWait }: AskOptions,
  work: () => Promise<T>,
): Promise<T> {
  const waits = (everyMs: number): void => onWait(`another process is fetching into ${root}`, everyMs);
  return underFileLock(lock, { signal, onWait: waits }, work);
}
