/** What goes on, and what does not, while another program holds a lock on the store. */

import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openReplayStore, type ReplayStoreOptions } from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, scoreWrite } from '../../support/replay/records.js';

async function openStore(options: Partial<ReplayStoreOptions> = {}) {
  const path = options.path ?? join(temporaryFolder(), 'replay.sqlite');
  const store = await openReplayStore({ ...options, path });
  onTestFinished(() => store.close());
  return { store, path };
}

/** Another program with the store open. */
function otherProgram(path: string): Database {
  const other = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  return other;
}

const busy = { code: 'STORE_BUSY', retryAfterMs: 1000, message: expect.stringContaining('another program') };
const locks = ['BEGIN IMMEDIATE', 'BEGIN EXCLUSIVE'];

test.each(locks)(
  'while another program has done %s, reads are answered and writes are refused; then all goes on',
  async (begin) => {
    const { store, path } = await openStore({ busyTimeoutMs: 100 });
    await store.admit([admission('a')]);
    await store.write([scoreWrite('a', 0.25)]);
    const other = otherProgram(path);
    other.exec(begin);
    const refused = await Promise.allSettled([
      store.admit([admission('b')]),
      store.complete([completion('a')]),
      store.write([scoreWrite('a', 1)]),
      store.recordLessons([{ generationId: 'a', version: 1 }]),
      store.importRecords([]),
      store.eraseSubject('someone'),
    ]);
    for (const outcome of refused) expect(outcome).toMatchObject({ reason: { ...busy, message: expect.any(String) } });
    expect((await store.readGenerations(['a', 'b'])).map(({ id }) => id)).toEqual(['a']);
    expect(await store.readScores(['a'])).toMatchObject([{ value: 0.25 }]);
    expect(await store.status()).toMatchObject({ generations: 1, running: 1, scores: 1 });
    expect((await store.exportPage({ after: 0 })).next).toBeNull();
    other.exec('ROLLBACK');
    // Nothing of what was refused was done.
    await store.admit([admission('b')]);
    await store.complete([completion('a')]);
    expect(await store.write([scoreWrite('a', 1)])).toMatchObject([{ status: 'replaced' }]);
    expect(await store.unsettledErasures()).toEqual([]);
    expect(await store.eraseSubject('someone')).toMatchObject({ generations: 2, scores: 1 });
  },
);

test('reads do not wait for the writes that wait for another program, and those keep their order', async () => {
  const { store, path } = await openStore({ busyTimeoutMs: 600_000 });
  await store.admit([admission('a')]);
  const other = otherProgram(path);
  other.exec('BEGIN IMMEDIATE');
  let written = 0;
  const writes = [0.25, 0.5, 0.75].map(async (value) => {
    const [outcome] = await store.write([scoreWrite('a', value)]);
    written += 1;
    return outcome;
  });
  for (let i = 0; i < 20; i++) expect(await store.readScores(['a'])).toEqual([]);
  expect(written).toBe(0);
  other.exec('ROLLBACK');
  const outcomes = await Promise.all(writes);
  expect(outcomes.map((outcome) => outcome?.status)).toEqual(['stored', 'replaced', 'replaced']);
  expect(await store.readScores(['a'])).toMatchObject([{ value: 0.75 }]);
});

test('closing waits for the writes that wait for another program', async () => {
  const { store, path } = await openStore({ busyTimeoutMs: 600_000 });
  await store.admit([admission('a')]);
  const other = otherProgram(path);
  other.exec('BEGIN IMMEDIATE');
  const written = store.write([scoreWrite('a', 1)]);
  const closed = store.close();
  other.exec('ROLLBACK');
  expect(await written).toMatchObject([{ status: 'stored' }]);
  await closed;
});

test('a store is opened while another program holds the lock; what was running is marked aborted before the first write', async () => {
  const { store: first, path } = await openStore();
  await first.admit([admission('a')]);
  await first.close();
  const other = otherProgram(path);
  other.exec('BEGIN IMMEDIATE');
  const { store } = await openStore({ path, busyTimeoutMs: 50 });
  expect(await store.readGenerations(['a'])).toMatchObject([{ state: 'running' }]);
  await expect(store.admit([admission('b')])).rejects.toMatchObject({ code: 'STORE_BUSY' });
  other.exec('ROLLBACK');
  await store.admit([admission('b')]);
  expect(await store.readGenerations(['a', 'b'])).toMatchObject([{ state: 'aborted' }, { state: 'running' }]);
  expect(await store.status()).toMatchObject({ running: 1, aborted: 1 });
});

test('an erasure that was cut off, of a store that is opened while another program holds the lock, is completed later', async () => {
  const { store: first, path } = await openStore();
  await first.admit([admission('a')]);
  await first.close();
  const other = otherProgram(path);
  other.exec("INSERT INTO erasures (started_at_ms, subject) VALUES (7, 'someone')");
  other.exec('BEGIN IMMEDIATE');
  const { store } = await openStore({ path });
  expect(await store.unsettledErasures()).toEqual([]);
  const completed = new Promise<void>((resolve) => store.onUnsettled(resolve));
  other.exec('ROLLBACK');
  await completed;
  expect(await store.unsettledErasures()).toMatchObject([{ generations: 1 }]);
  expect(await store.status()).toMatchObject({ generations: 0, running: 0, aborted: 0 });
});

test('a vacuum by another program, and a transaction that it holds open for reading, disturb neither reads nor writes', async () => {
  const { store, path } = await openStore();
  await store.admit([admission('a'), admission('b')]);
  const other = otherProgram(path);
  other.exec('BEGIN');
  other.prepare('SELECT * FROM generations').all();
  await store.write([scoreWrite('a', 1)]);
  other.exec('COMMIT');
  other.exec('VACUUM');
  await store.complete([completion('a'), completion('b')]);
  expect((await store.exportPage({ after: 0 })).records).toMatchObject([
    { generation: { id: 'a' } },
    { score: { value: 1 } },
    { generation: { id: 'b' } },
  ]);
});
