/** The gate of a real server rejects a ruined candidate and promotes a harmless one. */

import { expect, it } from 'vitest';
import { findLinears, loadPackage, readDecoder } from '../../src/package/index.js';
import { zeroAdapter } from '../../src/versions/index.js';
import {
  failedChecks,
  importAndJudge,
  importFiles,
  makeTraffic,
  openJudgingServer,
} from '../support/gate/judging-server.js';
import { randomAdapter } from '../support/planted.js';
import { tinyPackage } from '../support/server.js';

it('the gate of a server rejects a random adapter by its KL, and promotes one that changes next to nothing', async () => {
  const pkg = await loadPackage(tinyPackage);
  const zero = zeroAdapter(findLinears(await readDecoder(pkg.modelPath)), 8, 2);
  const client = await openJudgingServer();
  await makeTraffic(client);
  const ruined = await importAndJudge(client, importFiles(pkg, randomAdapter(zero, 4)));
  expect(ruined.state).toBe('rejected');
  expect(failedChecks(ruined)).toContain('kl');
  expect(ruined.rejectedBecause).toContain('nats per completion');
  expect((await client.status()).live.number).toBe(0);
  expect((await importAndJudge(client, importFiles(pkg, randomAdapter(zero, 1e-3)))).state).toBe('live');
});
