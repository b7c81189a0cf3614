/** Opens the version log, and derives from its versions what policy and learner need. */

import type { EventLog } from '../../src/agent/index.js';
import { HoneError, inWords } from '../../src/errors.js';
import type { LearnerSettings } from '../../src/learner/index.js';
import type { Package } from '../../src/package/index.js';
import {
  type Adapter,
  type AdapterTarget,
  type KnownNumber,
  openVersionLog,
  type VersionLog,
  zeroAdapter,
} from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';
import type { DataDirectory } from './data-directory.js';

export async function openVersions(
  pkg: Package,
  linears: readonly AdapterTarget[],
  settings: LearnerSettings,
  { keepVersions, startWithout }: ServerOptions,
  data: DataDirectory,
  events: EventLog,
  known: readonly KnownNumber[],
  onRebuilt: (what: string) => void,
): Promise<VersionLog> {
  return openVersionLog({
    directory: data.versionsPath,
    copyPath: data.versionsCopyPath,
    known,
    acceptLoss: startWithout === 'versions',
    onRebuilt,
    packageDigest: pkg.digest,
    zeroAdapter: zeroAdapter(linears, settings.rank, settings.scale),
    ...(keepVersions === undefined ? {} : { keepVersions }),
    onRemovalFailed: (error) =>
      events.publish({
        type: 'version_failed',
        detail: `old adapters could not be removed; the next change of a version tries again: ${inWords(error)}`,
      }),
    onRemoved: ({ numbers, bytes }) =>
      events.publish({
        type: 'adapters_removed',
        detail: `adapters of the versions ${numbers.join(', ')} were removed to make room`,
        numbers: { versions: numbers.length, bytes },
      }),
  });
}

/**
 * @throws HoneError `INVALID_OPTIONS` if the live adapter's rank is above the learner's, which could not continue from
 * it
 */
export function checkAdapterRank({ rank }: Adapter, settings: LearnerSettings, { dataDirectory }: ServerOptions): void {
  if (rank <= settings.rank) return;
  throw new HoneError(
    'INVALID_OPTIONS',
    `the live version in ${dataDirectory} has an adapter of rank ${rank}, the learner has rank ${settings.rank} and cannot continue from it: use --rank ${rank}, or another --data`,
  );
}

/** Whether the policy needs room for adapters. Steps without it are faster, and serve the zero adapter only. */
export function needsAdapters({ learner, adapters }: ServerOptions, versions: VersionLog): boolean {
  const { packageDigest: ours } = versions.live();
  const others = versions.list().filter(({ origin, packageDigest }) => origin !== 'base' && packageDigest === ours);
  return learner || adapters || others.some(({ number }) => versions.adapterPath(number) !== null);
}
