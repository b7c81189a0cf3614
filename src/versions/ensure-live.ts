/** Part of opening a version log: makes sure that a version of this package with undamaged files is live. */

import { HoneError } from '../errors.js';
import { digestAdapter } from './adapter.js';
import { appendRollback, nextVersion, type OpenLog } from './open-log.js';
import type { VersionWeights } from './version-weights.js';

/**
 * Looks through the versions that were live, newest first, for one of this package whose files are undamaged. If it is
 * not the live version, a rollback to it becomes live. If there is none, a new base version becomes live.
 * @returns one error for each version that was passed over because its files are damaged
 */
export async function ensureLiveVersion(log: OpenLog, weights: VersionWeights): Promise<HoneError[]> {
  const { file, packageDigest, zeroAdapter } = log;
  const { history } = file;
  const damaged: HoneError[] = [];
  for (const number of history.served.toReversed()) {
    const version = history.get(number);
    if (version.packageDigest !== packageDigest || version.weights !== 'kept') continue;
    try {
      await weights.read(number);
    } catch (thrown) {
      damaged.push(HoneError.from(thrown));
      continue;
    }
    if (number !== history.live?.number) {
      const rollback = await appendRollback(log, version);
      await file.append({ type: 'promoted', number: rollback.number });
    }
    return damaged;
  }
  const { rank, scale } = zeroAdapter;
  const base = nextVersion(log, {
    adapterDigest: digestAdapter(zeroAdapter),
    state: 'live',
    parent: null,
    origin: 'base',
    metrics: { rank, scale },
  });
  await file.append({ type: 'version', version: base });
  return damaged;
}
