/** Bad candidates against the real server: what comes in is stopped by the gate. */

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { AdapterFiles, HoneClient, Version } from '../../client/index.js';
import { findLinears, loadPackage, type Package, readDecoder } from '../../src/package/index.js';
import { encodeAdapter } from '../../src/versions/adapter-files.js';
import { type Adapter, zeroAdapter } from '../../src/versions/index.js';
import { randomAdapter } from '../support/planted.js';
import { startServer, tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

let pkg: Package;
beforeAll(async () => {
  pkg = await loadPackage(tinyPackage);
});

function filesOf(adapter: Adapter): AdapterFiles {
  const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: null, createdAtMs: 1, metrics: {} };
  return encodeAdapter(adapter, meta);
}

async function open(args: readonly string[]): Promise<HoneClient> {
  const server = await startServer({ args: ['--adapters', 'on', ...args] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server.connect();
}

/** Traffic, so that the gate has prompts to ask. */
async function ask(client: HoneClient): Promise<void> {
  const prompts = Array.from({ length: 32 }, (_, n) => `a prompt of traffic ${n}`);
  await Promise.all(prompts.map((prompt) => client.generate({ prompt, maxTokens: 8 })));
}

async function judged(client: HoneClient, files: AdapterFiles): Promise<Version> {
  const { number } = await client.importVersion(files);
  await until(async () => (await client.version(number)).state !== 'candidate', 'it was judged');
  return client.version(number);
}

const failedOf = ({ verdict }: Version): string[] =>
  verdict.filter(({ outcome }) => outcome === 'failed').map(({ check }) => check);

describe('the gate of a server', () => {
  it('stops a random adapter by its divergence, and lets one pass that changes next to nothing', async () => {
    const client = await open([]);
    await ask(client);
    const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 8, 2);
    const ruined = await judged(client, filesOf(randomAdapter(zero, 4)));
    expect(ruined.state).toBe('rejected');
    expect(failedOf(ruined)).toContain('kl');
    expect(ruined.rejectedBecause).toContain('nats per completion');
    expect((await client.status()).live.number).toBe(0);
    expect((await judged(client, filesOf(randomAdapter(zero, 1e-3)))).state).toBe('live');
  });
});
