/** Makes an imported adapter the next version. `imported.ts` reads and checks the adapter. */

import { rm } from 'node:fs/promises';
import { fileSystemError } from '../file-system-errors.js';
import { adapterTargets, digestAdapter } from './adapter.js';
import { type AdapterFiles, writeAdapter } from './adapter-files.js';
import { makeWay } from './adapter-folders.js';
import { readImported } from './imported.js';
import { nextVersion, type OpenLog } from './open-log.js';
import { adapterDirectory } from './removal.js';
import type { Version } from './types.js';

/**
 * Writes the adapter and the entry of its version, which has state `candidate` and no parent. Both are on disk when it
 * resolves; if it rejects, nothing has changed.
 * @param maxRank rank of the learner, which cannot continue from a larger one
 * @throws HoneError `ADAPTER_REFUSED`, `ADAPTER_MISMATCH`, `STORE_FULL`
 */
export async function importVersion(log: OpenLog, files: AdapterFiles, maxRank: number): Promise<Version> {
  const { packageDigest } = log;
  const layers = adapterTargets(log.zeroAdapter);
  const { adapter, baseModel, metrics } = readImported(files, { packageDigest, layers, maxRank });
  const adapterDigest = digestAdapter(adapter);
  const version = nextVersion(log, { adapterDigest, state: 'candidate', parent: null, origin: 'imported', metrics });
  const target = adapterDirectory(log.directory, version.number);
  await makeWay(target);
  try {
    const { createdAtMs } = version;
    await writeAdapter(target, adapter, { packageDigest, baseModel, parent: null, createdAtMs, metrics });
    await log.file.append({ type: 'version', version });
  } catch (thrown) {
    await rm(target, { recursive: true, force: true });
    throw fileSystemError(thrown, `the adapter cannot be written to ${target}`);
  }
  return log.file.history.get(version.number);
}
