/** The model package that the server serves, read and checked. */

import type { LearnerSettings } from '../../src/learner/index.js';
import type { Package } from '../../src/package/index.js';
import { openPackage } from '../../src/package/load.js';
import { findLinears } from '../../src/package/lowering.js';
import type { AdapterTarget } from '../../src/versions/index.js';
import type { ServerOptions } from '../options.js';

/**
 * The package and its linear layers; the decoder itself, whose weights may be in memory, is let go.
 * @throws HoneError for a package that cannot be served, or not be learned from where a learner is on
 */
export async function readPackage(
  { packageDirectory, learner }: ServerOptions,
  settings: LearnerSettings,
): Promise<{ pkg: Package; linears: readonly AdapterTarget[] }> {
  const { pkg, decoder } = await openPackage(packageDirectory);
  if (learner) {
    // A learner that could not start would crash again and again while the server serves.
    const { checkTrainable } = await import('../../src/learner/engine/check-trainable.js');
    await checkTrainable(decoder, pkg.modelPath, settings);
  }
  return { pkg, linears: findLinears(decoder) };
}
