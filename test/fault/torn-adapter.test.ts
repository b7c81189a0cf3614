/** Adapter files that are damaged or exchanged while the server is down, and while it runs. */

import { cp, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readModel } from '../../src/onnx/index.js';
import { findLinears, loadPackage } from '../../src/package/index.js';
import { openVersionLog, writeAdapter, zeroAdapter } from '../../src/versions/index.js';
import { readPeftFixture } from '../oracles/fixture.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer, tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

it('a server whose live adapter is torn serves the version before it, as a rollback, and sends an event', async () => {
  const data = temporaryFolder();
  const pkg = await loadPackage(tinyPackage);
  const zero = zeroAdapter(findLinears(await readModel(pkg.modelPath)), 8, 2);
  const directory = join(data, 'versions');
  const versions = await openVersionLog({ directory, packageDigest: pkg.digest, zeroAdapter: zero });
  const metrics = {};
  const candidate = join(data, 'candidate');
  const meta = { packageDigest: pkg.digest, baseModel: pkg.name, parent: 0, createdAtMs: 0, metrics };
  const adapterDigest = await writeAdapter(candidate, zero, meta);
  const { number } = await versions.adopt({ directory: candidate, adapterDigest, parent: 0, metrics });
  await versions.promote(number);
  await truncate(join(versions.adapterPath(number) ?? '', 'adapter_model.safetensors'), 100);
  await versions.close();

  await using server = await startServer({ data, args: ['--mode', 'auto'] });
  expect(server.ready.version).toBe(2);
  const client = await server.connect();
  expect(await client.version(2)).toMatchObject({ origin: 'rollback', parent: 0, state: 'live' });
  const events = client.watchEvents({ afterSequence: 0 })[Symbol.asyncIterator]();
  const first = await events.next();
  expect(first.value).toMatchObject({ type: 'version_failed', detail: expect.stringContaining('ADAPTER_INVALID') });
  await events.return?.();
});

it('adapter files that are torn or exchanged while a server runs do not change its answers, and are never served', async () => {
  const data = temporaryFolder();
  const first = await startServer({ data, args: ['--adapters', 'on'] });
  const client = await first.connect();
  const base = await client.version(0);
  for (const [number, name] of [
    [1, 'named'],
    [2, 'bfloat16'],
    [3, 'named'],
  ] as const) {
    await client.importVersion(readPeftFixture(name).files);
    await until(async () => (await client.version(number)).state === 'live', `version ${number} went live`);
  }
  const prompt = { prompt: 'the same', temperature: 0, maxTokens: 24, ignoreEos: true, logprobs: true };
  const before = await client.generate(prompt);
  const { live } = await client.status();
  expect(live.number).toBe(3);

  // Version 1 is torn. Versions 2 and 3 exchange their files, which are complete and have valid records.
  const folder = (number: number) => join(data, 'versions', `00000${number}`);
  await truncate(join(folder(1), 'adapter_model.safetensors'), 1000);
  const aside = join(data, 'aside');
  await cp(folder(2), aside, { recursive: true });
  await cp(folder(3), folder(2), { recursive: true });
  await cp(aside, folder(3), { recursive: true });

  const after = await client.generate(prompt);
  expect(after).toMatchObject({ version: 3, adapterDigest: live.adapterDigest });
  expect(after.completions[0]?.tokenIds).toEqual(before.completions[0]?.tokenIds);
  for (const number of [1, 2]) {
    await expect(client.rollback(number)).rejects.toMatchObject({ code: 'ADAPTER_INVALID', status: 'DATA_LOSS' });
    await expect(client.exportVersion(number)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  }
  await expect(client.exportVersion(3)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  expect((await client.status()).live).toEqual(live);
  expect((await client.generate(prompt)).completions[0]?.tokenIds).toEqual(before.completions[0]?.tokenIds);

  await first.kill();
  await rm(aside, { recursive: true });
  await using second = await startServer({ data });
  const again = await second.connect();
  const liveAgain = (await again.status()).live;
  expect(liveAgain).toMatchObject({ number: 4, origin: 'rollback', parent: 0, adapterDigest: base.adapterDigest });
  expect(await again.generate(prompt)).toMatchObject({ version: 4, adapterDigest: base.adapterDigest });
  let refused = 0;
  for await (const { type, detail } of again.watchEvents({ afterSequence: 0 })) {
    if (type === 'version_failed' && detail.includes('ADAPTER_INVALID')) refused += 1;
    if (type === 'server_started' && refused > 0) break;
  }
  expect(refused).toBe(3);
});
