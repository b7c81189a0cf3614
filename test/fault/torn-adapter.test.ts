/** A server whose adapter files were damaged while it was down. */

import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readModel } from '../../src/onnx/index.js';
import { findLinears, loadPackage } from '../../src/package/index.js';
import { openVersionLog, writeAdapter, zeroAdapter } from '../../src/versions/index.js';
import { startServer, temporaryFolder, tinyPackage } from '../support/server.js';

it('serves the version before a torn adapter, as a new head, and an event says so', async () => {
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

  await using server = await startServer({ data });
  expect(server.ready.version).toBe(2);
  const client = await server.connect();
  expect(await client.version(2)).toMatchObject({ origin: 'rollback', parent: 0, state: 'live' });
  const events = client.watchEvents({ afterSequence: 0 })[Symbol.asyncIterator]();
  const first = await events.next();
  expect(first.value).toMatchObject({ type: 'version_rejected', detail: expect.stringContaining('ADAPTER_INVALID') });
  await events.return?.();
});
