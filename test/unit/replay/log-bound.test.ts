/** The bound of the store's log. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  type EvictionReport,
  type LogHeld,
  openReplayStore,
  type ReplayStore,
  type ReplayStoreOptions,
} from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, scoreWrite } from '../../support/replay/records.js';
import { until } from '../../support/until.js';

const maxLogBytes = 128 * 1024;

async function openStore(options: Partial<ReplayStoreOptions> = {}) {
  const path = options.path ?? join(temporaryFolder(), 'replay.sqlite');
  const held: LogHeld[] = [];
  const store = await openReplayStore({
    maxLogBytes,
    logHeldAfterMs: 0,
    ...options,
    path,
    onLogHeld: (one) => held.push(one),
  });
  onTestFinished(() => store.close());
  return { store, path, held };
}

/** Commits until the log is longer than `bytes`. */
async function growLog(store: ReplayStore, bytes: number): Promise<void> {
  for (let i = 0; (await store.status()).logBytes <= bytes; i++) {
    await store.write([scoreWrite('a', i, { idempotencyKey: '' })]);
  }
}

function reading(path: string): Database {
  const other = new Database(path, { access: 'read', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM generations').get();
  return other;
}

test('a log that another program holds is reported once, counted in the size of the store, and emptied afterwards', async () => {
  const { store, path, held } = await openStore();
  await store.admit([admission('a')]);
  for (const episode of [1, 2]) {
    const other = reading(path);
    await growLog(store, 2 * maxLogBytes);
    await until(() => held.length === episode, 'the log is reported as held');
    await growLog(store, 4 * maxLogBytes);
    const { logBytes, logHeldSinceMs, fileBytes } = await store.status();
    expect(logBytes).toBe(statSync(`${path}-wal`).size);
    expect(fileBytes).toBe(statSync(path).size + logBytes + statSync(`${path}-shm`).size);
    expect(logHeldSinceMs).toBeGreaterThan(0);
    expect(held[episode - 1]?.logBytes).toBeGreaterThan(maxLogBytes);
    expect(held[episode - 1]?.maxLogBytes).toBe(maxLogBytes);
    other.exec('COMMIT');
    await until(async () => (await store.status()).logBytes <= maxLogBytes, 'the log is within its bound');
    expect((await store.status()).logHeldSinceMs).toBeNull();
    expect(held).toHaveLength(episode);
  }
});

test('a log that grew by one large transaction is emptied, and nobody is blamed', async () => {
  const { store, held } = await openStore();
  await store.admit([admission('a', { promptJson: JSON.stringify('x'.repeat(4 * maxLogBytes)) })]);
  await until(async () => (await store.status()).logBytes <= maxLogBytes, 'the log is within its bound');
  expect(held).toEqual([]);
});

test('a store that is over its bytes only with its log empties the log and removes no generation', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const first = await openReplayStore({ path });
  await first.admit([admission('a')]);
  const { usedBytes } = await first.status();
  await first.close();
  const evicted: EvictionReport[] = [];
  const maxBytes = usedBytes + 64 * 1024;
  const { store } = await openStore({
    path,
    maxBytes,
    maxLogBytes: 2 ** 30,
    onEvicted: (report) => evicted.push(report),
  });
  await growLog(store, 128 * 1024);
  await until(async () => (await store.status()).logBytes === 0, 'the log is empty');
  expect(evicted).toEqual([]);
  expect((await store.status()).usedBytes).toBeLessThan(maxBytes);
});
