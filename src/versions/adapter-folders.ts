/**
 * The folders of adapters beside the log, compared with what the log says. A folder is named for a version, and is never
 * written over.
 *
 * A folder with the log's next number is what a crash left between the files of a version and its line: that number was
 * never given. A folder with a higher number means that the log has lost lines.
 */

import { existsSync } from 'node:fs';
import { readdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { syncPath } from './durable-files.js';
import type { VersionHistory } from './history.js';
import type { KnownNumber } from './log-file.js';
import { adapterDirectory } from './removal.js';
import { hasFiles } from './retention.js';

/** Numbers of the folders, ascending. */
export async function findFolders(directory: string): Promise<readonly number[]> {
  const names = await readdir(directory);
  return names
    .filter((name) => /^\d{6,9}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** The numbers that were given for certain, because a folder has a higher one. */
export function knownFromFolders(directory: string, folders: readonly number[]): KnownNumber[] {
  return folders
    .slice(-1)
    .filter((number) => number > 0)
    .map((number) => ({ number: number - 1, from: `the folder ${adapterDirectory(directory, number)}` }));
}

/** Renames the folders that a crash left; part of opening. */
export async function moveLeftoversAside(
  { nextNumber }: VersionHistory,
  directory: string,
  folders: readonly number[],
  onRebuilt: (what: string) => void,
): Promise<void> {
  for (const number of folders.filter((one) => one >= nextNumber)) {
    const moved = await makeWay(adapterDirectory(directory, number));
    onRebuilt(
      `an adapter that a crash left without a line in the version log was moved to ${moved}; it never was a version, and you may delete it`,
    );
  }
}

/** Reports versions that keep their adapters by the log but have no folder. The live version is looked after elsewhere. */
export function reportMissing(
  history: VersionHistory,
  directory: string,
  folders: readonly number[],
  onRebuilt: (what: string) => void,
): void {
  const found = new Set(folders);
  const live = history.live === undefined ? undefined : history.weightsOf(history.live.number).number;
  const missing = history.versions.filter(
    (version) =>
      hasFiles(version) && version.weights === 'kept' && version.number !== live && !found.has(version.number),
  );
  if (missing.length === 0) return;
  const numbers = missing.map(({ number }) => number).join(', ');
  onRebuilt(
    `the adapters of the versions ${numbers} are missing in ${directory}: these versions cannot serve again. Restore their folders from a backup if they should`,
  );
}

/**
 * Moves what has the name of a folder that will be made.
 * @returns its new name; null if nothing was in the way
 */
export async function makeWay(target: string): Promise<string | null> {
  if (!existsSync(target)) return null;
  for (let attempt = 1; ; attempt++) {
    const aside = join(target, '..', `${basename(target)}.leftover${attempt === 1 ? '' : `-${attempt}`}`);
    if (existsSync(aside)) continue;
    await rename(target, aside);
    await syncPath(join(target, '..'));
    return aside;
  }
}
