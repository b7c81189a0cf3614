/**
 * Which adapters make room, and how: an entry in the log first, then the files. A crash between the two leaves files that
 * the log calls removed; the next opening deletes them.
 *
 * Of the versions of one package the newest `keep` retired ones keep their adapters, and so do the newest `keep` rejected
 * ones, so that what was turned down never displaces what one can roll back to. Never removed: the adapters of versions
 * in any other state, of the live version's parent, and what one of these, or of those that are kept, points at as a
 * rollback. The base has no files.
 */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HoneError } from '../errors.js';
import type { VersionHistory } from './history.js';
import type { VersionLogFile } from './log-file.js';
import type { Version } from './types.js';

/** Adapters that were removed. */
export interface Removal {
  /** Numbers of the versions whose files they were. */
  readonly numbers: readonly number[];
  /** Bytes that became free. */
  readonly bytes: number;
}

/** Retired, and rejected, versions that keep their adapters unless told otherwise. */
export const defaultKeepVersions = 64;

/** Numbers of the versions whose adapters may go, oldest first. */
export function removable(history: VersionHistory, keep: number): number[] {
  const kept = new Set(keptVersions(history, keep).map(({ number }) => history.weightsOf(number).number));
  return history.versions
    .filter((version) => hasFiles(version) && version.weights === 'kept' && !kept.has(version.number))
    .map(({ number }) => number);
}

function keptVersions({ head, versions }: VersionHistory, keep: number): Version[] {
  const counts = new Map<string, number>();
  return versions.toReversed().filter((version) => {
    const { number, state, packageDigest } = version;
    if (state !== 'retired' && state !== 'rejected') return true;
    const kind = `${packageDigest} ${state}`;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return count <= keep || number === head?.parent;
  });
}

/** Removes these adapters. @throws HoneError `INTERNAL` where one of them is needed, `STORE_FULL` */
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

/** Deletes what a crash left of adapters that the log calls removed; part of opening. */
export async function finishRemovals(history: VersionHistory, directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const version = /^\d{6,}$/.test(name) ? history.versions[Number(name)] : undefined;
    if (version?.weights === 'removed' && hasFiles(version)) await removeFiles(join(directory, name));
  }
}

/** Where a version's own adapter lies. */
export function adapterDirectory(directory: string, number: number): string {
  return join(directory, String(number).padStart(6, '0'));
}

/** What is said to whoever asks for weights that are gone. */
export function weightsRemoved(number: number): HoneError {
  return new HoneError(
    'VERSION_NOT_SERVABLE',
    `version ${number} cannot serve again: its adapter was removed to make room (--keep-versions); ` +
      'roll back to a version whose weights are kept, or import the adapter where you exported it before',
  );
}

/** Of these versions, those whose adapters are there and that nothing needs: neither live nor candidates, nor rolled back to. */
export function unneeded(history: VersionHistory, numbers: readonly number[]): number[] {
  const needed = new Set(
    history.versions
      .filter(({ state }) => state !== 'retired' && state !== 'rejected')
      .map(({ number }) => history.weightsOf(number).number),
  );
  return numbers.filter((number) => {
    const version = history.get(number);
    return hasFiles(version) && version.weights === 'kept' && !needed.has(number);
  });
}

function hasFiles({ origin }: Version): boolean {
  return origin !== 'base' && origin !== 'rollback';
}

async function removeFiles(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = await Promise.all(names.map((name) => stat(join(directory, name)).then(({ size }) => size)));
  await rm(directory, { recursive: true, force: true });
  return sizes.reduce((sum, size) => sum + size, 0);
}
