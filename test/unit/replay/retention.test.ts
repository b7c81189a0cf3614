/** Sweeps of the store: which generations they remove, and in which order. */

import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { HoneError } from '../../../src/errors.js';
import {
  type EvictionReport,
  openReplayReader,
  openReplayStore,
  type ReplayStore,
  type ReplayStoreOptions,
} from '../../../src/replay/index.js';
import { Database } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';
import { admission, completion, preferenceWrite, scoreWrite } from '../../support/replay/records.js';

const day = 24 * 60 * 60 * 1000;
const long = 'x'.repeat(6000);

/** Opens a store; `nextSweep` waits for the report of its next sweep. */
async function openStore(options: Partial<ReplayStoreOptions> = {}) {
  const path = options.path ?? join(temporaryFolder(), 'replay.sqlite');
  const reports: EvictionReport[] = [];
  let wake = (): void => undefined;
  const onEvicted = (report: EvictionReport): void => {
    reports.push(report);
    wake();
  };
  const store = await openReplayStore({ ...options, path, onEvicted });
  onTestFinished(() => store.close());
  async function nextSweep(): Promise<EvictionReport> {
    while (reports.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return reports.shift() as EvictionReport;
  }
  return { store, path, nextSweep, reports };
}

/** Writes finished generations, each with a prompt of its own. */
async function fill(store: ReplayStore, prefix: string, count: number, createdAtMs: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(4, '0')}`);
  await store.admit(
    ids.map((id) => admission(id, { groupKey: id, promptJson: JSON.stringify(id + long), createdAtMs })),
  );
  await store.complete(ids.map((id) => completion(id)));
  return ids;
}

async function kept(store: ReplayStore, ids: readonly string[]): Promise<string[]> {
  return (await store.readGenerations(ids)).map(({ id }) => id);
}

test('a sweep removes generations above the allowed age with all that depends on them, and nothing else', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const first = await openReplayStore({ path });
  const now = Date.now();
  await first.admit([
    admission('old', { createdAtMs: now - 3 * day }),
    admission('new', { createdAtMs: now - day }),
    admission('other', { createdAtMs: now - 3 * day, groupKey: 'other' }),
  ]);
  await first.complete([completion('old'), completion('new'), completion('other')]);
  await first.write([
    scoreWrite('old', 1, { idempotencyKey: 'k1' }),
    scoreWrite('new', 1),
    preferenceWrite('new', 'old', 'better', { idempotencyKey: 'k2' }),
  ]);
  await first.recordLessons([{ generationId: 'old', version: 1 }]);
  await first.close();

  const { store, nextSweep } = await openStore({ path, maxAgeMs: 2 * day });
  expect(await nextSweep()).toMatchObject({ byAge: 2, generations: 2, scores: 1, preferences: 1, prompts: 1 });
  expect(await kept(store, ['old', 'new', 'other'])).toEqual(['new']);
  expect(await store.readLessons(['old'])).toEqual([]);
  expect(await store.status()).toMatchObject({
    generations: 1,
    finished: 1,
    scores: 1,
    scoredGenerations: 1,
    preferences: 0,
  });
  const reader = openReplayReader(path);
  const changes = reader.readSince(0, 100);
  reader.close();
  expect(changes.map((change) => [change.type, 'generationId' in change ? change.generationId : ''])).toEqual([
    ['generation', 'new'],
    ['score', 'new'],
    ['removed', ''],
  ]);
  // The key is free again, because the comparison that it belonged to was removed.
  expect(await store.write([scoreWrite('new', 0, { rater: 'bob', idempotencyKey: 'k2' })])).toMatchObject([
    { status: 'stored' },
  ]);
});

test('a store above its bytes removes cancelled generations first, then old ones without feedback, then the oldest', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const first = await openReplayStore({ path });
  const now = Date.now();
  const oldScored = await fill(first, 'a', 20, now - 5 * day);
  const unscored = await fill(first, 'b', 20, now - 2 * day);
  const compared = await fill(first, 'c', 2, now - 2 * day);
  const young = await fill(first, 'd', 20, now);
  await first.admit([admission('cancelled', { createdAtMs: now, promptJson: JSON.stringify(long) })]);
  await first.complete([completion('cancelled', { state: 'cancelled' })]);
  await first.write(oldScored.map((id) => scoreWrite(id, 1)));
  const { usedBytes } = await first.status();
  await first.close();

  const { store, nextSweep } = await openStore({ path, maxBytes: usedBytes - 4096 });
  const one = await nextSweep();
  expect(one.unfinished).toBe(1);
  expect(one.unscored).toBeGreaterThan(0);
  expect(one.oldest).toBe(0);
  expect(await kept(store, unscored)).toEqual(unscored.slice(one.unscored));
  expect(await kept(store, [...oldScored, ...compared, ...young])).toHaveLength(42);

  await store.close();
  const { store: again, nextSweep: next } = await openStore({ path, maxBytes: Math.round(usedBytes / 2) });
  const two = await next();
  expect(two).toMatchObject({ unfinished: 0, unscored: 20 + 2 - one.unscored });
  expect(two.oldest).toBeGreaterThan(0);
  expect(await kept(again, oldScored)).toEqual(oldScored.slice(two.oldest));
  expect(await kept(again, young)).toEqual(young);
  expect(two.usedBytes).toBeLessThanOrEqual(Math.round(usedBytes / 2));
});

test('a sweep never removes a running generation, whatever the bounds', async () => {
  const { store, nextSweep } = await openStore({ maxBytes: 100 * 1024, maxAgeMs: day });
  await store.admit([admission('running', { createdAtMs: 1, groupKey: 'r', promptJson: JSON.stringify(long) })]);
  await fill(store, 'a', 40, 2);
  await nextSweep();
  expect(await kept(store, ['running'])).toEqual(['running']);
  await store.complete([completion('running')]);
});

test('the store takes all writes that come faster than its sweeps, and reuses the room in the file', async () => {
  const maxBytes = 1024 * 1024;
  const { store, nextSweep, reports } = await openStore({ maxBytes });
  for (let phase = 0; phase < 2; phase++) {
    for (let round = 0; round < 20; round++) {
      const ids = await fill(store, `r${phase}${String(round).padStart(3, '0')}-`, 64, Date.now());
      const outcomes = await store.write(ids.map((id) => scoreWrite(id, 1)));
      expect(outcomes.every(({ status }) => status === 'stored')).toBe(true);
    }
    while ((await store.status()).usedBytes > maxBytes) await nextSweep();
  }
  const status = await store.status();
  expect(status.generations).toBeLessThan(250);
  expect(reports.every(({ generations }) => generations > 0)).toBe(true);
  // 1280 generations take 8.5 MB, which is how far the file grows if no sweep runs between them. All 2560 take twice that.
  expect(status.fileBytes).toBeLessThan(11 * 1024 * 1024);
});

test('one removed change takes the place of all changes of evicted generations', async () => {
  const { store, path, nextSweep } = await openStore({ maxBytes: 300 * 1024 });
  for (let round = 0; round < 3; round++) {
    const ids = await fill(store, `r${round}-`, 64, Date.now());
    await store.write(ids.map((id) => scoreWrite(id, 1)));
    await nextSweep();
  }
  const reader = openReplayReader(path);
  const removals = () => reader.readSince(0, 10_000).filter(({ type }) => type === 'removed');
  // A further sweep may be running: it writes the change with its last step.
  await expect.poll(removals, { timeout: 30_000 }).toHaveLength(1);
  const changes = reader.readSince(0, 10_000);
  const named = changes.flatMap((change) => ('generationId' in change ? [change.generationId] : []));
  expect(reader.existing([...new Set(named)])).toHaveLength(new Set(named).size);
  reader.close();
});

test('a store whose sweep fails reports the failure, continues to serve, and sweeps when it can', async () => {
  const path = join(temporaryFolder(), 'replay.sqlite');
  const first = await openReplayStore({ path });
  await fill(first, 'old', 3, Date.now() - 3 * day);
  await first.close();
  const other = new Database(path, { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  other.exec("CREATE TRIGGER refuse BEFORE DELETE ON generations BEGIN SELECT RAISE(ABORT, 'not deleted'); END");

  const failures: HoneError[] = [];
  const { store, nextSweep } = await openStore({
    path,
    maxAgeMs: day,
    onSweepFailed: (error) => failures.push(error),
  });
  await expect.poll(() => failures, { timeout: 30_000 }).toHaveLength(1);
  expect(failures[0]).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('not deleted') });
  expect(await store.write([scoreWrite('old0000', 1)])).toMatchObject([{ status: 'stored' }]);
  expect(await kept(store, ['old0000', 'old0001', 'old0002'])).toHaveLength(3);

  other.exec('DROP TRIGGER refuse');
  expect(await nextSweep()).toMatchObject({ byAge: 3, scores: 1 });
  expect(await store.status()).toMatchObject({ generations: 0, finished: 0, scores: 0 });
});
