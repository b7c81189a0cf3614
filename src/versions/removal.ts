/**
 * Removes adapters: first an entry in the log, then the files. A crash between the two leaves files that the log calls
 * removed, and the next opening deletes them.
 */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { VersionHistory } from './history.js';
import type { VersionLogFile } from './log-file.js';
import { hasFiles } from './retention.js';

/** Adapters that were removed. */
export interface Removal {
  /** Numbers of the versions to which they belonged. */
  readonly numbers: readonly number[];
  /** Bytes that became free. */
  readonly bytes: number;
}

/** Removes the adapters of these versions. @throws HoneError `INTERNAL` if one of them is needed, `STORE_FULL` */
export async function removeAdapters(
  file: VersionLogFile,
  directory: string,
  unwanted: readonly number[],
): Promise<Removal> {
  const numbers: number[] = [];
  let bytes = 0;
  for (const number of unwanted) {
    await file.append({ type: 'removed', number });
    bytes += await removeFiles(adapterDirectory(directory, number));
    numbers.push(number);
  }
  return { numbers, bytes };
}

/** Deletes the files that a crash left of adapters which the log calls removed; part of opening. */
export async function finishRemovals(history: VersionHistory, directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const version = /^\d{6,}$/.test(name) ? history.find(Number(name)) : undefined;
    if (version?.weights === 'removed' && hasFiles(version)) await removeFiles(join(directory, name));
  }
}

/** The directory of a version's own adapter. */
export function adapterDirectory(directory: string, number: number): string {
  return join(directory, String(number).padStart(6, '0'));
}

async function removeFiles(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = await Promise.all(names.map((name) => stat(join(directory, name)).then(({ size }) => size)));
  await rm(directory, { recursive: true, force: true });
  return sizes.reduce((sum, size) => sum + size, 0);
}
