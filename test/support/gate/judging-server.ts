/** A real server whose gate judges imported candidates: starts it, makes traffic for it and imports adapters into it. */

import { onTestFinished } from 'vitest';
import type { AdapterFiles, HoneClient, Version } from '../../../client/index.js';
import type { Package } from '../../../src/package/index.js';
import { encodeAdapter } from '../../../src/versions/adapter-files.js';
import type { Adapter } from '../../../src/versions/index.js';
import { startServer } from '../server.js';
import { until } from '../until.js';

/** Starts a server that can serve imported adapters; it ends with the test. */
export async function openJudgingServer(args: readonly string[] = []): Promise<HoneClient> {
  const server = await startServer({ args: ['--adapters', 'on', ...args] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server.connect();
}

/** Makes 32 requests, so that the gate has prompts for its samples. */
export async function makeTraffic(client: HoneClient): Promise<void> {
  const prompts = Array.from({ length: 32 }, (_, n) => `a prompt of traffic ${n}`);
  await Promise.all(prompts.map((prompt) => client.generate({ prompt, maxTokens: 8 })));
}

/** The files of an adapter of this package, for an import. */
export function importFiles(pkg: Package, adapter: Adapter): AdapterFiles {
  const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: null, createdAtMs: 1, metrics: {} };
  return encodeAdapter(adapter, meta);
}

/** Imports a candidate and returns its version once the gate has judged it. */
export async function importAndJudge(client: HoneClient, files: AdapterFiles): Promise<Version> {
  const { number } = await client.importVersion(files);
  await until(async () => (await client.version(number)).state !== 'candidate', `version ${number} is judged`);
  return client.version(number);
}

/** Names of the checks that failed. */
export function failedChecks({ verdict }: Version): string[] {
  return verdict.filter(({ outcome }) => outcome === 'failed').map(({ check }) => check);
}
