/** The folder or the lock of a running server is deleted, renamed or replaced, or a live folder is copied. */

import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eagerLearner, playUntil } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer } from '../support/server.js';

const changes: readonly (readonly [string, (data: string) => void])[] = [
  ['whose lock is deleted', (data) => rmSync(join(data, 'lock'))],
  [
    'whose lock is replaced',
    (data) => {
      rmSync(join(data, 'lock'));
      writeFileSync(join(data, 'lock'), '');
    },
  ],
  ['whose folder is renamed', (data) => renameSync(data, `${data}-renamed`)],
  [
    'whose folder is replaced',
    (data) => {
      renameSync(data, `${data}-renamed`);
      mkdirSync(data);
    },
  ],
  ['whose folder is deleted', (data) => rmSync(data, { recursive: true })],
];

it.each(changes)('a server %s stops with the code that keeps it from being started again', async (_, change) => {
  const data = join(temporaryFolder(), 'data');
  await using server = await startServer({ data });
  const client = await server.connect();
  await client.generate({ prompt: 'once', maxTokens: 4 });
  const ended = once(server.process, 'exit');
  change(data);
  expect(await ended).toEqual([78, null]);
  expect(server.log()).toMatch(/DATA_DIRECTORY_LOST/);
  expect(existsSync(join(data, 'server.json'))).toBe(false);
  const renamed = `${data}-renamed`;
  if (!existsSync(renamed) && !existsSync(join(data, 'replay.sqlite'))) return;
  // What was acknowledged is there, and nothing of it came into another folder.
  if (existsSync(renamed) && existsSync(data)) expect(existsSync(join(data, 'replay.sqlite'))).toBe(false);
  await using next = await startServer({ data: existsSync(renamed) ? renamed : data });
  expect((await (await next.connect()).status()).replay.finished).toBe(1);
});

it('a second server gets no lock that was deleted under the first one, and is refused with its address', async () => {
  const data = temporaryFolder();
  await using first = await startServer({ data });
  // A stopped process cannot notice anything.
  process.kill(first.ready.pid, 'SIGSTOP');
  rmSync(join(data, 'lock'));
  const { code, output } = await runServer({ data });
  process.kill(first.ready.pid, 'SIGCONT');
  expect(code).toBe(78);
  expect(output).toMatch(new RegExp(`process id ${first.ready.pid} that listens on ${first.ready.address}`));
  expect(output).toContain('DATA_DIRECTORY_LOCKED');
});

it('a copy of a directory that was made while its server ran serves and learns', async () => {
  const data = temporaryFolder();
  const copy = join(temporaryFolder(), 'copy');
  await using first = await startServer({ data, args: eagerLearner });
  await playUntil(await first.connect(), 1);
  await (await first.connect()).pauseLearner();
  cpSync(data, copy, { recursive: true });
  await using second = await startServer({ data: copy, args: eagerLearner });
  const client = await second.connect();
  const { live } = await client.status();
  await playUntil(client, live.number + 1);
  expect((await client.learnerStatus()).failure).toBeUndefined();
});
