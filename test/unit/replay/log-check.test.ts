import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openReplayStore } from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission } from '../../support/replay/records.js';

const frameBytes = 24 + 4096;
const headerBytes = 32;

/** Makes a store as `kill -9` leaves it: every commit is in the log. */
async function killedStore(generations: number) {
  const directory = temporaryFolder();
  const live = join(directory, 'live.sqlite');
  const path = join(directory, 'replay.sqlite');
  const store = await openReplayStore({ path: live });
  for (let i = 0; i < generations; i++) await store.admit([admission(`g${i}`)]);
  for (const suffix of ['', '-wal']) copyFileSync(`${live}${suffix}`, `${path}${suffix}`);
  await store.close();
  return { path, log: `${path}-wal`, bytes: readFileSync(`${path}-wal`) };
}

async function countIn(path: string): Promise<number> {
  const store = await openReplayStore({ path });
  const { generations } = await store.status();
  await store.close();
  return generations;
}

test('an undamaged log is read to its end', async () => {
  const { path } = await killedStore(20);
  expect(await countIn(path)).toBe(20);
});

test.each([
  ['its header', 4, 20],
  ['the content of an early page', headerBytes + 5 * frameBytes + 1000, 30],
  ['the head of an early frame', headerBytes + 5 * frameBytes + 2, 20],
  ['the salts of an early frame', headerBytes + 5 * frameBytes + 9, 7],
])('opening a log with damage in %s throws and leaves both files as they are', async (_, at, length) => {
  const { path, log, bytes } = await killedStore(20);
  const store = readFileSync(path);
  bytes.fill(0xa5, at, at + length);
  writeFileSync(log, bytes);
  await expect(openReplayStore({ path })).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringMatching(/replay\.sqlite-wal is damaged: .*\.recover/),
  });
  expect(readFileSync(log)).toEqual(bytes);
  expect(readFileSync(path)).toEqual(store);
});

test('SQLite alone drops the commits after the damage without an error', async () => {
  const { path, log, bytes } = await killedStore(20);
  bytes.fill(0xa5, headerBytes + 5 * frameBytes + 1000, headerBytes + 5 * frameBytes + 1030);
  writeFileSync(log, bytes);
  const database = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  const count = database.prepareValue<[], number>('SELECT count(*) FROM generations').get();
  database.close();
  expect(count).toBeLessThan(20);
});

test.each([
  ['cut within its last frame', (log: string, bytes: Buffer) => truncateSync(log, bytes.length - 1000)],
  [
    'whose last frame was not written whole',
    (log: string, bytes: Buffer) => {
      writeFileSync(log, bytes.fill(0, bytes.length - 1000));
    },
  ],
])('a log %s, as a power loss leaves it, is read up to that frame', async (_, tear) => {
  const { path, log, bytes } = await killedStore(20);
  tear(log, bytes);
  expect(await countIn(path)).toBe(19);
});

test.each([
  ['empty', (log: string) => truncateSync(log, 0)],
  ['shorter than its header', (log: string) => truncateSync(log, 10)],
  ['all zeros', (log: string, bytes: Buffer) => writeFileSync(log, bytes.fill(0))],
  ['missing', (log: string) => rmSync(log)],
])('a log that is %s adds nothing to the store', async (_, clear) => {
  const { path, log, bytes } = await killedStore(3);
  clear(log, bytes);
  expect(await countIn(path)).toBe(0);
});
