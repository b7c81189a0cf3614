/** Data directories that cannot be written, made or locked are refused with the remedy and the exit code for "do not retry". */

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { canMount, onReadOnlyDisk } from '../support/file-systems.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, type StartOptions, startServer } from '../support/server.js';

async function expectRefused(options: StartOptions, why: RegExp): Promise<void> {
  const { code, output } = await runServer(options);
  expect(output).toMatch(why);
  expect(output).toMatch(/\(INVALID_OPTIONS\)|\(DATA_DIRECTORY_LOCKED\)/);
  expect(code).toBe(78);
}

it.skipIf(!canMount)('a data directory on a read-only disk is refused, whether it is new or used', async () => {
  const fresh = temporaryFolder();
  await expectRefused(
    { data: fresh, within: onReadOnlyDisk(fresh) },
    /cannot be used: the disk is read-only \(EROFS.*--data/,
  );
  const used = temporaryFolder();
  const copy = temporaryFolder();
  await using server = await startServer({ data: used });
  const client = await server.connect();
  await client.generate({ prompt: 'once', maxTokens: 4 });
  await server.stop();
  cpSync(used, copy, { recursive: true });
  await expectRefused(
    { data: copy, within: onReadOnlyDisk(copy) },
    /cannot be used: the disk is read-only \(EROFS.*--data/,
  );
});

it('a data directory that cannot be created is refused, and the server ends', async () => {
  const below = join(temporaryFolder(), 'a file');
  writeFileSync(below, '');
  await expectRefused({ data: join(below, 'data') }, /cannot be used: .*a file is no folder.*--data/);
  if (process.platform === 'linux') await expectRefused({ data: '/proc/hone' }, /cannot be used: ENOENT.*--data/);
});

it.each(['file', 'folder'])(
  'a %s with the name of something else in the data directory is refused, with its name',
  async (kind) => {
    const data = temporaryFolder();
    const [name, path] = kind === 'file' ? ['versions', 'versions'] : ['replay\\.sqlite', 'replay.sqlite'];
    if (kind === 'file') writeFileSync(join(data, path), 'something');
    else mkdirSync(join(data, path));
    await expectRefused({ data }, new RegExp(`${name} is no .*move it away.*--data`));
  },
);

it('a second server on one data directory is refused with the address of the first, which continues to serve', async () => {
  const data = temporaryFolder();
  await using first = await startServer({ data });
  await expectRefused(
    { data },
    new RegExp(`process id ${first.ready.pid} that listens on ${first.ready.address}.*--data`),
  );
  const client = await first.connect();
  const { completions } = await client.generate({ prompt: 'still here', maxTokens: 4 });
  await client.feedback([{ generationId: completions[0]?.generationId ?? '', score: 1 }]);
  await first.kill();
  await using next = await startServer({ data });
  expect(next.ready.pid).not.toBe(first.ready.pid);
});

it('of several servers that start at once on one data directory exactly one serves', async () => {
  const data = temporaryFolder();
  const starting = await Promise.allSettled([startServer({ data }), startServer({ data }), startServer({ data })]);
  const serving = starting.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  expect(serving).toHaveLength(1);
  for (const result of starting) {
    if (result.status === 'rejected') expect(String(result.reason)).toMatch(/\(78\).*DATA_DIRECTORY_LOCKED/s);
  }
  await serving[0]?.[Symbol.asyncDispose]();
});
