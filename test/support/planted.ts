/** Puts a candidate with random weights into a data directory, before its server starts. */

import { join } from 'node:path';
import type { Version as ClientVersion, HoneClient } from '../../client/index.js';
import { createRandom } from '../../src/learner/random.js';
import { findLinears, loadPackage, readDecoder } from '../../src/package/index.js';
import { encodeAdapter } from '../../src/versions/adapter-files.js';
import { type Adapter, openVersionLog, type Version, writeAdapter, zeroAdapter } from '../../src/versions/index.js';
import { tinyPackage } from './server.js';

/**
 * Returns a LoRA adapter of random numbers up to `size`. Small ones change almost nothing, large ones ruin every
 * answer.
 */
export function randomAdapter(zero: Adapter, size: number, seed = 1): Adapter {
  const random = createRandom(seed);
  const tensors = [...zero.tensors].map(([name, { dims, data }]) => {
    return [name, { dims, data: data.map(() => (random() * 2 - 1) * size) }] as const;
  });
  return { ...zero, tensors: new Map(tensors) };
}

/**
 * Makes a candidate of random numbers for the tiny package, with the learner's default rank and scale.
 * @returns the candidate, which is version 1 of a new data directory
 */
export async function plantCandidate(data: string, size: number): Promise<Version> {
  const pkg = await loadPackage(tinyPackage);
  const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 8, 2);
  const log = await openVersionLog({
    directory: join(data, 'versions'),
    packageDigest: pkg.digest,
    zeroAdapter: zero,
  });
  try {
    const directory = join(data, 'planted');
    const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: 0, createdAtMs: Date.now(), metrics: {} };
    const adapterDigest = await writeAdapter(directory, randomAdapter(zero, size), meta);
    return await log.adopt({ directory, adapterDigest, parent: 0, metrics: {}, lessons: [] });
  } finally {
    await log.close();
  }
}

/** Imports an adapter of random numbers for the tiny package into a running server. */
export async function importRandom(client: HoneClient, size: number, seed: number): Promise<ClientVersion> {
  const pkg = await loadPackage(tinyPackage);
  const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 8, 2);
  const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: null, createdAtMs: 1, metrics: {} };
  return client.importVersion(encodeAdapter(randomAdapter(zero, size, seed), meta));
}
