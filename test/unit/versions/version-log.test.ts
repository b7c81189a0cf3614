import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  type Candidate,
  digestAdapter,
  openVersionLog,
  readAdapter,
  type Version,
  type VersionLog,
  type VersionLogOptions,
  writeAdapter,
  zeroAdapter,
} from '../../../src/versions/index.js';
import { meta, someAdapter, targets, zero } from '../../support/adapters.js';
import { temporaryFolder } from '../../support/folders.js';

async function open(data: string, over: Partial<VersionLogOptions> = {}): Promise<VersionLog> {
  const log = await openVersionLog({
    directory: join(data, 'versions'),
    packageDigest: meta.packageDigest,
    zeroAdapter: zero,
    now: () => 5000,
    ...over,
  });
  onTestFinished(() => log.close());
  return log;
}

async function candidate(data: string, seed: number, over: Partial<typeof meta> = {}) {
  const directory = join(data, 'learner', 'candidates', String(seed));
  const adapterDigest = await writeAdapter(directory, someAdapter(seed), { ...meta, ...over });
  return { directory, parent: 0, adapterDigest, metrics: { steps: seed } } satisfies Candidate;
}

async function rollBack(log: VersionLog, number: number): Promise<Version> {
  return log.promote((await log.rollback(number)).number);
}

async function adoptAndPromote(log: VersionLog, data: string, seed: number): Promise<number> {
  const { number } = await log.adopt(await candidate(data, seed));
  await log.promote(number);
  return number;
}

function states(log: VersionLog): string[] {
  return log.list().map((version) => `${version.number} ${version.origin} ${version.state}`);
}

const logPath = (data: string): string => join(data, 'versions', 'log.jsonl');

test('a new log begins with version 0, the zero adapter, which is live', async () => {
  const log = await open(temporaryFolder());
  expect(log.list()).toEqual([log.live()]);
  expect(log.live()).toMatchObject({ number: 0, origin: 'base', state: 'live', parent: null, createdAtMs: 5000 });
  expect(log.live().adapterDigest).toBe(digestAdapter(zero));
  expect(await log.readAdapter(0)).toEqual(zero);
  expect(log.adapterPath(0)).toBeNull();
});

test('a candidate that was adopted and promoted is still live after a restart', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  const trained = await candidate(data, 1);
  expect(await log.adopt(trained)).toMatchObject({ number: 1, state: 'candidate', metrics: { steps: 1 } });
  expect(existsSync(trained.directory)).toBe(false);
  expect(log.live().number).toBe(0);
  await log.promote(1);
  expect(states(log)).toEqual(['0 base retired', '1 learned live']);
  await log.close();

  const again = await open(data);
  expect(again.list()).toEqual(log.list());
  expect(again.warnings).toEqual([]);
  expect(await again.readAdapter(1)).toEqual(someAdapter(1));
  expect(again.adapterPath(1)).toBe(join(data, 'versions', '000001'));
});

test('a rollback is a new version with the older weights, and goes live when it is promoted', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  await adoptAndPromote(log, data, 1);
  await adoptAndPromote(log, data, 2);
  expect(await rollBack(log, 1)).toMatchObject({ number: 3, origin: 'rollback', parent: 1, state: 'live' });
  expect(states(log)).toEqual(['0 base retired', '1 learned retired', '2 learned retired', '3 rollback live']);
  expect(await log.readAdapter(3)).toEqual(someAdapter(1));
  expect(log.live().adapterDigest).toBe(log.get(1)?.adapterDigest);
  await rollBack(log, 0);
  expect(await log.readAdapter(4)).toEqual(zero);
  await rollBack(log, 3);
  expect(log.adapterPath(5)).toBe(join(data, 'versions', '000001'));
  await expect(log.rollback(5)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  await expect(log.rollback(99)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
});

test('a rejected candidate never serves', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  const { number } = await log.adopt(await candidate(data, 1));
  await log.reject(number, 'KL too large');
  await expect(log.promote(number)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  await expect(log.rollback(number)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  expect(log.live().number).toBe(0);
});

test('the verdict of the gate, a trial and the reason of a rejection survive a restart', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  const check = { check: 'kl', outcome: 'passed', detail: 'small', numbers: { kl_nats: 0.5 } } as const;
  for (const seed of [1, 2, 3]) await log.adopt(await candidate(data, seed));
  await log.judge(1, [{ ...check, numbers: { kl_nats: 0.5, none: Number.NaN } }]);
  await log.startTrial(1, 'canary');
  await expect(log.judge(1, [])).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  await log.startTrial(2, 'shadow');
  await log.setAside(2);
  await expect(log.setAside(2)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
  await log.reject(3, 'KL too large');
  await log.close();
  const again = await open(data);
  expect(again.list()).toEqual(log.list());
  expect(again.get(1)).toMatchObject({ state: 'canary', verdict: [check], rejectedBecause: null });
  expect(again.get(2)).toMatchObject({ state: 'candidate', verdict: [] });
  expect(again.get(3)).toMatchObject({ state: 'rejected', rejectedBecause: 'KL too large' });
  expect(await again.promote(1)).toMatchObject({ state: 'live', verdict: [check] });
});

test('a log that was written before the gate existed loads and can be continued', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  await adoptAndPromote(log, data, 1);
  await log.adopt(await candidate(data, 2));
  await log.close();
  const old = readFileSync(logPath(data), 'utf8').replaceAll(',"verdict":[],"rejectedBecause":null', '');
  expect(old).not.toContain('verdict');
  writeFileSync(logPath(data), old);
  const again = await open(data);
  expect(again.list()).toEqual(log.list());
  await again.reject(2, 'no');
  expect(again.get(2)?.rejectedBecause).toBe('no');
});

test('a candidate with torn files, another digest, package or shape is refused, and nothing changes', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  const before = readFileSync(logPath(data));
  const torn = await candidate(data, 1);
  truncateSync(join(torn.directory, 'adapter_model.safetensors'), 200);
  await expect(log.adopt(torn)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
  const other = await candidate(data, 2);
  await expect(log.adopt({ ...other, adapterDigest: torn.adapterDigest })).rejects.toMatchObject({
    code: 'ADAPTER_INVALID',
  });
  const foreign = await candidate(data, 3, { packageDigest: 'b'.repeat(64) });
  await expect(log.adopt(foreign)).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
  const shaped = join(data, 'shaped');
  const adapterDigest = await writeAdapter(shaped, zeroAdapter(targets.slice(1), 2, 1), meta);
  await expect(log.adopt({ ...other, directory: shaped, adapterDigest })).rejects.toMatchObject({
    code: 'ADAPTER_MISMATCH',
  });
  expect(readFileSync(logPath(data))).toEqual(before);
  expect(existsSync(other.directory)).toBe(true);
  expect((await log.adopt(other)).number).toBe(1);
});

test('changes that are requested at the same time are made one after the other', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  const candidates = await Promise.all([1, 2, 3].map((seed) => candidate(data, seed)));
  const adopted = await Promise.all(candidates.map((one) => log.adopt(one)));
  expect(adopted.map((version) => version.number)).toEqual([1, 2, 3]);
  const results = await Promise.allSettled([log.promote(2), log.promote(2), log.promote(1)]);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(states(log)).toEqual(['0 base retired', '1 learned live', '2 learned retired', '3 learned candidate']);
});

test('a last line that a crash cut short is dropped, at every length', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  await adoptAndPromote(log, data, 1);
  await log.close();
  const whole = readFileSync(logPath(data));
  const promotedAt = whole.subarray(0, -1).lastIndexOf(0x0a) + 1;
  for (const length of [promotedAt, promotedAt + 1, promotedAt + 12, whole.length - 1]) {
    writeFileSync(logPath(data), whole.subarray(0, length));
    const again = await open(data);
    expect(states(again)).toEqual(['0 base live', '1 learned candidate']);
    await again.promote(1);
    await again.close();
    expect(readFileSync(logPath(data))).toEqual(whole);
  }
});

test('opening a log with a damaged complete line throws, with the line and the remedy', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  await adoptAndPromote(log, data, 1);
  await log.close();
  const whole = readFileSync(logPath(data), 'utf8');
  for (const damaged of [
    whole.replace('"learned"', '"le\u0000rned'),
    whole.replace('"number":1', '"number":7'),
    `${whole}{"type":"promoted","number":1}\n`,
    whole.slice(whole.indexOf('\n') + 1),
  ]) {
    writeFileSync(logPath(data), damaged);
    await expect(open(data)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/line \d/),
    });
    expect(readFileSync(logPath(data), 'utf8')).toBe(damaged);
  }
});

test('if the files of the live version are torn, the version before it goes live, with a warning', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  for (const seed of [1, 2, 3]) await adoptAndPromote(log, data, seed);
  await log.close();
  truncateSync(join(data, 'versions', '000003', 'adapter_model.safetensors'), 300);
  cpSync(join(data, 'versions', '000001'), join(data, 'versions', '000002'), { recursive: true });
  const again = await open(data);
  expect(again.warnings.map((warning) => warning.code)).toEqual(['ADAPTER_INVALID', 'ADAPTER_INVALID']);
  expect(again.live()).toMatchObject({ number: 4, origin: 'rollback', parent: 1 });
  expect(await again.readAdapter(4)).toEqual(someAdapter(1));
  await again.close();
  const third = await open(data);
  expect(third.live().number).toBe(4);
  expect(third.warnings).toEqual([]);
});

test('files that a crash left without an entry in the log are moved aside, and never written over', async () => {
  const data = temporaryFolder();
  await (await open(data)).close();
  mkdirSync(join(data, 'versions', '.000001.abc.partial'));
  const left = join(data, 'versions', '000001');
  await writeAdapter(left, someAdapter(9), meta);
  const reported: string[] = [];
  const log = await open(data, { onRebuilt: (what) => reported.push(what) });
  expect(reported).toEqual([expect.stringContaining(`${left}.leftover; it never was a version`)]);
  // Another one appears while the log is open.
  await writeAdapter(left, someAdapter(8), meta);
  expect(await adoptAndPromote(log, data, 1)).toBe(1);
  await log.close();
  expect(await (await open(data)).readAdapter(1)).toEqual(someAdapter(1));
  expect((await readAdapter(`${left}.leftover`)).adapter).toEqual(someAdapter(9));
  expect((await readAdapter(`${left}.leftover-2`)).adapter).toEqual(someAdapter(8));
});

test('another package begins its own lineage, and the first lineage continues when its package returns', async () => {
  const data = temporaryFolder();
  const log = await open(data);
  await adoptAndPromote(log, data, 1);
  await log.close();
  const foreign = await open(data, { packageDigest: 'b'.repeat(64) });
  expect(foreign.live()).toMatchObject({ number: 2, origin: 'base', lineage: 'bbbbbbbbbbbb' });
  await expect(foreign.rollback(1)).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
  await expect(foreign.readAdapter(1)).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
  await foreign.close();
  const back = await open(data);
  expect(back.live()).toMatchObject({ number: 3, origin: 'rollback', parent: 1, lineage: 'aaaaaaaaaaaa' });
  expect(await back.readAdapter(3)).toEqual(someAdapter(1));
});

test('version 0 keeps its digest if the settings change the rank', async () => {
  const data = temporaryFolder();
  await (await open(data)).close();
  const log = await open(data, { zeroAdapter: zeroAdapter(targets, 16, 2) });
  expect(log.live().number).toBe(0);
  expect(digestAdapter(await log.readAdapter(0))).toBe(log.live().adapterDigest);
});

test('a closed log refuses changes and can be closed again', async () => {
  const log = await open(temporaryFolder());
  await Promise.all([log.close(), log.close()]);
  await expect(log.promote(1)).rejects.toMatchObject({ code: 'DRAINING' });
});
