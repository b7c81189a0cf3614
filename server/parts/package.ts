/** Reads and checks the model package. */

import type { LearnerSettings } from '../../src/learner/index.js';
import type { Package } from '../../src/package/index.js';
import { openPackage } from '../../src/package/load.js';
import { findLinears } from '../../src/package/lowering.js';
import type { AdapterTarget } from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';

/**
 * Returns the package and its linear layers. The decoder is not kept, because its weights may take much memory.
 * @throws HoneError if the package cannot be served, or cannot be trained although the learner is on
 */
export async function readPackage(
  { packageDirectory, learner }: ServerOptions,
  settings: LearnerSettings,
): Promise<{ pkg: Package; linears: readonly AdapterTarget[] }> {
  const { pkg, decoder } = await openPackage(packageDirectory);
  if (learner) {
    // Without this check the learner would crash again and again while the server serves.
    const { checkTrainable } = await import('../../src/learner/engine/check-trainable.js');
    await checkTrainable(decoder, pkg.modelPath, settings);
  }
  return { pkg, linears: findLinears(decoder) };
}
