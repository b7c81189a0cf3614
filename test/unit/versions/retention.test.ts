import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  openVersionLog,
  type Removal,
  type VersionLog,
  type VersionLogOptions,
  writeAdapter,
} from '../../../src/versions/index.js';
import { meta, someAdapter, zero } from '../../support/adapters.js';
import { temporaryFolder } from '../../support/folders.js';

async function open(directory: string, over: Partial<VersionLogOptions> = {}): Promise<VersionLog> {
  const log = await openVersionLog({ directory, packageDigest: meta.packageDigest, zeroAdapter: zero, ...over });
  onTestFinished(() => log.close());
  return log;
}

async function learn(log: VersionLog, seed: number, fate: 'live' | 'rejected' | 'candidate' = 'live'): Promise<number> {
  const directory = join(temporaryFolder(), 'candidate');
  const adapterDigest = await writeAdapter(directory, someAdapter(seed), meta);
  const { number, parent } = await log.adopt({
    directory,
    adapterDigest,
    parent: log.live().number,
    metrics: {},
  });
  expect(parent).toBe(log.live().number);
  if (fate === 'live') await log.promote(number);
  if (fate === 'rejected') await log.reject(number, 'not today');
  return number;
}

async function rollBack(log: VersionLog, number: number): Promise<void> {
  await log.promote((await log.rollback(number)).number);
}

/** Numbers of the adapters in the folder. */
function onDisk(directory: string): number[] {
  return readdirSync(directory).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

test('the live version and the newest retired ones keep their adapters, and older adapters are removed', async () => {
  const directory = temporaryFolder();
  const removals: Removal[] = [];
  const log = await open(directory, { keepVersions: 2, onRemoved: (removal) => removals.push(removal) });
  for (let seed = 1; seed <= 6; seed++) await learn(log, seed);
  await log.close();
  expect(onDisk(directory)).toEqual([4, 5, 6]);
  expect(removals.map(({ numbers }) => numbers)).toEqual([[1], [2], [3]]);
  expect(removals[0]?.bytes).toBeGreaterThan(500);
  expect(log.list().map(({ weights }) => weights)).toEqual([
    'kept',
    'removed',
    'removed',
    'removed',
    'kept',
    'kept',
    'kept',
  ]);
  const again = await open(directory, { keepVersions: 2 });
  expect(again.list()).toEqual(log.list());
  expect(await again.readAdapter(6)).toEqual(someAdapter(6));
});

test('a version whose adapter was removed can neither serve again nor be exported, and the error gives the reason', async () => {
  const log = await open(temporaryFolder(), { keepVersions: 1 });
  for (let seed = 1; seed <= 4; seed++) await learn(log, seed);
  const removed = {
    code: 'VERSION_NOT_SERVABLE',
    message: expect.stringMatching(/version 1 .*removed.*--keep-versions/),
  };
  await expect(log.rollback(1)).rejects.toMatchObject(removed);
  await expect(log.export(1, 'tldr')).rejects.toMatchObject(removed);
  await expect(log.readAdapter(1)).rejects.toMatchObject(removed);
  await rollBack(log, 0);
  expect(log.live()).toMatchObject({ origin: 'rollback', parent: 0 });
});

test('rejected versions are counted separately, and candidates keep their adapters', async () => {
  const directory = temporaryFolder();
  const log = await open(directory, { keepVersions: 2 });
  const served = await learn(log, 1);
  const waiting = await learn(log, 2, 'candidate');
  for (let seed = 3; seed <= 7; seed++) await learn(log, seed, 'rejected');
  await learn(log, 8);
  await log.close();
  expect(onDisk(directory)).toEqual([served, waiting, 6, 7, 8]);
});

test('the parent of the live version, and the target of a kept rollback, keep their adapters', async () => {
  const directory = temporaryFolder();
  const log = await open(directory, { keepVersions: 1 });
  await learn(log, 1);
  await learn(log, 2);
  await rollBack(log, 1);
  // Version 3 serves the adapter of 1. That of 2 is kept only because 2 is the newest retired version.
  for (let seed = 4; seed <= 5; seed++) await learn(log, seed, 'rejected');
  expect(await log.readAdapter(3)).toEqual(someAdapter(1));
  // Version 6 was trained from the rollback, so the adapter of 1 is its parent's.
  await learn(log, 6);
  await log.rollback(3).then(({ number }) => log.reject(number, 'changed my mind'));
  expect(await log.readAdapter(3)).toEqual(someAdapter(1));
  await learn(log, 8);
  await learn(log, 9);
  await log.close();
  // The rejected rollback 7 is the newest rejected version and still points at 1.
  expect(onDisk(directory)).toEqual([1, 8, 9]);
  const again = await open(directory, { keepVersions: 1 });
  for (const seed of [10, 11]) await learn(again, seed, 'rejected');
  await again.close();
  expect(onDisk(directory)).toEqual([8, 9, 11]);
  expect([1, 3, 7].map((number) => again.get(number)?.weights)).toEqual(['removed', 'removed', 'removed']);
});

test('opening deletes the files that a crash between entry and deletion left', async () => {
  const directory = temporaryFolder();
  const log = await open(directory);
  for (let seed = 1; seed <= 3; seed++) await learn(log, seed);
  await log.close();
  appendFileSync(join(directory, 'log.jsonl'), '{"type":"removed","number":1}\n');
  expect(onDisk(directory)).toEqual([1, 2, 3]);
  const removals: Removal[] = [];
  const again = await open(directory, { onRemoved: (removal) => removals.push(removal) });
  expect(onDisk(directory)).toEqual([2, 3]);
  expect(again.get(1)).toMatchObject({ state: 'retired', weights: 'removed' });
  expect(again.warnings).toEqual([]);
  expect(removals).toEqual([]);
});

test('a crash before the entry, or while it is written, leaves all files', async () => {
  const directory = temporaryFolder();
  const log = await open(directory);
  for (let seed = 1; seed <= 3; seed++) await learn(log, seed);
  await log.close();
  appendFileSync(join(directory, 'log.jsonl'), '{"type":"removed","num');
  const again = await open(directory);
  expect(onDisk(directory)).toEqual([1, 2, 3]);
  expect(again.get(1)?.weights).toBe('kept');
  expect(await again.readAdapter(1)).toEqual(someAdapter(1));
});

test('a lower keepVersions removes adapters at the next opening and reports them', async () => {
  const directory = temporaryFolder();
  const log = await open(directory);
  for (let seed = 1; seed <= 5; seed++) await learn(log, seed);
  await log.close();
  const removals: Removal[] = [];
  await open(directory, { keepVersions: 1, onRemoved: (removal) => removals.push(removal) });
  expect(removals).toMatchObject([{ numbers: [1, 2, 3] }]);
  expect(onDisk(directory)).toEqual([4, 5]);
});

test('a log that was written before adapters could be removed loads with all adapters kept', async () => {
  const directory = temporaryFolder();
  const log = await open(directory);
  await learn(log, 1);
  await log.close();
  const path = join(directory, 'log.jsonl');
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(',"weights":"kept"', ''));
  expect(readFileSync(path, 'utf8')).not.toContain('weights');
  const again = await open(directory);
  expect(again.list().map(({ weights }) => weights)).toEqual(['kept', 'kept']);
});

test('the last version of another package keeps its adapter, and serves again when that package returns', async () => {
  const directory = temporaryFolder();
  const log = await open(directory, { keepVersions: 1 });
  await learn(log, 1);
  await log.close();
  const other = await open(directory, { keepVersions: 1, packageDigest: 'b'.repeat(64) });
  for (let i = 0; i < 3; i++) {
    const elsewhere = join(temporaryFolder(), 'candidate');
    const adapterDigest = await writeAdapter(elsewhere, someAdapter(i + 2), { ...meta, packageDigest: 'b'.repeat(64) });
    await other.promote((await other.adopt({ directory: elsewhere, adapterDigest, parent: 2, metrics: {} })).number);
  }
  await other.close();
  const back = await open(directory, { keepVersions: 1 });
  expect(await back.readAdapter(back.live().number)).toEqual(someAdapter(1));
});

test('opening a log with an entry that removes a needed adapter throws', async () => {
  const directory = temporaryFolder();
  const log = await open(directory);
  await learn(log, 1);
  await log.close();
  for (const number of [0, 1]) {
    const copy = join(temporaryFolder(), 'versions');
    await cp(directory, copy, { recursive: true });
    appendFileSync(join(copy, 'log.jsonl'), `{"type":"removed","number":${number}}\n`);
    await expect(open(copy)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(existsSync(join(copy, '000001'))).toBe(true);
  }
});
