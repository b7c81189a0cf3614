/** The policy worker of a package, on an adapter that does nothing but cost what an adapter costs. */

import { findLinears, loadPackage, readDecoder } from '../../src/package/index.js';
import { openPolicy, type Policy } from '../../src/policy/index.js';
import { digestAdapter, zeroAdapter } from '../../src/versions/index.js';
import type { BenchOptions } from './options.js';

const rank = 8;
const scale = 2;

export async function openBenchPolicy(packageDirectory: string, options: BenchOptions): Promise<Policy> {
  const pkg = await loadPackage(packageDirectory);
  const adapter = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), rank, scale);
  const version = { number: 0, adapterDigest: digestAdapter(adapter), adapter };
  return openPolicy({ pkg, version, threads: options.threads, spin: options.spin });
}
