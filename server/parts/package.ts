/** Prepares, reads and checks the model package. */

import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { LearnerSettings } from '../../src/learner/index.js';
import type { Package } from '../../src/package/index.js';
import { openPackage } from '../../src/package/load.js';
import { findLinears } from '../../src/package/lowering.js';
import { type PreparedPackage, preparePackage } from '../../src/preparation/index.js';
import { usableMemory } from '../../src/usable-memory.js';
import type { AdapterTarget } from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';

/** Milliseconds between two lines about a package that is being written. */
const progressEveryMs = 5000;

/**
 * Returns the package and its linear layers. The decoder is not kept, because its weights may take much memory.
 * @throws HoneError if the package cannot be served, or cannot be trained although the learner is on
 */
export async function readPackage(
  options: ServerOptions,
  settings: LearnerSettings,
  log: Logger,
  signal: AbortSignal,
): Promise<{ pkg: Package; linears: readonly AdapterTarget[] }> {
  const prepared = await prepare(options, log, signal);
  const { pkg, decoder } = await openPackage(prepared.directory, prepared.model);
  if (options.learner) {
    // Without this check the learner would crash again and again while the server serves.
    const { checkTrainable } = await import('../../src/learner/engine/check-trainable.js');
    await checkTrainable(decoder, pkg.modelPath, settings);
  }
  await prove(prepared, pkg, options, settings, log, signal);
  return { pkg, linears: findLinears(decoder) };
}

async function prepare(
  { packageDirectory, modelFile, bits, cacheDirectory }: ServerOptions,
  log: Logger,
  signal: AbortSignal,
): Promise<PreparedPackage> {
  let saidAt = 0;
  return await preparePackage(packageDirectory, {
    modelFile,
    bits,
    cacheDirectory,
    memoryBytes: usableMemory(),
    signal,
    onNote: (note) => log.info(note),
    onProgress: (done, total) => {
      const now = performance.now();
      if (now - saidAt < progressEveryMs && done < total) return;
      saidAt = now;
      log.info({ done, total }, `preparing the package: ${Math.floor((100 * done) / Math.max(1, total))} %`);
    },
  });
}

/** @throws HoneError `PACKAGE_DIFFERS` if Hone computes something else from the package than its own file says */
async function prove(
  { directory, judge }: PreparedPackage,
  { digest }: Package,
  { learner, cacheDirectory }: ServerOptions,
  settings: LearnerSettings,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { provePackage } = await import('../../src/proof/index.js');
  const proof = await provePackage({
    packageDirectory: directory,
    packageDigest: digest,
    modelFile: judge,
    settings: learner ? settings : null,
    threads: availableParallelism(),
    cacheDirectory,
    signal,
    onStart: () => log.info('comparing the package with its own file; this is done once'),
  });
  if (proof.outcome !== 'unjudged') return;
  log.warn(`the package is served without a comparison with its own file: ${proof.reason}`);
}
