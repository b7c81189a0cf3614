/**
 * Which adapters may be removed. `removal.ts` removes them.
 *
 * For each package the newest `keep` retired versions keep their adapters, and so do the newest `keep` rejected ones, so
 * that a rejected version never displaces one to which a user can roll back. Three kinds of adapters always stay: those
 * of versions in any other state, that of the live version's parent, and those that a kept rollback serves again. A base
 * version has no files.
 */

import type { VersionHistory } from './history.js';
import type { Version } from './types.js';

/** Default number of retired versions, and of rejected ones, that keep their adapters. */
export const defaultKeepVersions = 64;

/** Numbers of the versions whose adapters may be removed, oldest first. */
export function removable(history: VersionHistory, keep: number): number[] {
  const kept = new Set(keptVersions(history, keep).map(({ number }) => history.weightsOf(number).number));
  return history.versions
    .filter((version) => hasFiles(version) && version.weights === 'kept' && !kept.has(version.number))
    .map(({ number }) => number);
}

function keptVersions({ live, versions }: VersionHistory, keep: number): Version[] {
  const counts = new Map<string, number>();
  return versions.toReversed().filter((version) => {
    const { number, state, packageDigest } = version;
    if (state !== 'retired' && state !== 'rejected') return true;
    const kind = `${packageDigest} ${state}`;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return count <= keep || number === live?.parent;
  });
}

/** Filters `numbers` to versions that have an adapter which no candidate, trial or live version needs. */
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

/** Whether a version has an adapter of its own on disk: a base has none, and a rollback points at another version's. */
export function hasFiles({ origin }: Version): boolean {
  return origin !== 'base' && origin !== 'rollback';
}
