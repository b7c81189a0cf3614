/** What a version log and its copy know of each other: lines that are lost are rebuilt or refused, and no number comes again. */

import { appendFileSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import {
  openVersionLog,
  readAdapter,
  type VersionLog,
  type VersionLogOptions,
  writeAdapter,
} from '../../../src/versions/index.js';
import { meta, someAdapter, zero } from '../../support/adapters.js';
import { temporaryFolder } from '../../support/folders.js';

interface Opened {
  readonly log: VersionLog;
  readonly reported: readonly string[];
}

async function open(data: string, over: Partial<VersionLogOptions> = {}): Promise<Opened> {
  const reported: string[] = [];
  const log = await openVersionLog({
    directory: join(data, 'versions'),
    copyPath: join(data, 'versions.copy.jsonl'),
    packageDigest: meta.packageDigest,
    zeroAdapter: zero,
    now: () => 5000,
    onRebuilt: (what) => reported.push(what),
    ...over,
  });
  onTestFinished(() => log.close());
  return { log, reported };
}

async function adopt(log: VersionLog, data: string, seed: number): Promise<number> {
  const directory = join(data, 'candidate');
  const adapterDigest = await writeAdapter(directory, someAdapter(seed), meta);
  const { number } = await log.adopt({ directory, parent: log.live().number, adapterDigest, metrics: {} });
  await log.promote(number);
  return number;
}

/** What the events know of these versions. */
const known = [{ number: 3, from: 'events.jsonl' }];

const logPath = (data: string): string => join(data, 'versions', 'log.jsonl');
const copyPath = (data: string): string => join(data, 'versions.copy.jsonl');

/** A data directory with the versions 0 to 3, of which 3 is live. */
async function used(): Promise<{ data: string; text: string; list: VersionLog['list'] }> {
  const data = temporaryFolder();
  const { log } = await open(data);
  for (const seed of [1, 2, 3]) await adopt(log, data, seed);
  await log.close();
  const text = readFileSync(logPath(data), 'utf8');
  expect(readFileSync(copyPath(data), 'utf8')).toBe(text);
  return { data, text, list: () => log.list() };
}

const damages: readonly (readonly [string, (path: string, text: string) => void])[] = [
  ['missing', (path) => rmSync(path)],
  ['empty', (path) => writeFileSync(path, '')],
  ['cut in the middle of a line', (path, text) => writeFileSync(path, text.slice(0, text.length / 2))],
  ['cut after a line', (path, text) => writeFileSync(path, text.slice(0, text.indexOf('\n', text.length / 2) + 1))],
  ['garbage without lines', (path) => writeFileSync(path, Buffer.alloc(4000, 0x8f))],
  ['garbage with lines', (path) => writeFileSync(path, 'no\nlog\n')],
  ['damaged in a middle line', (path, text) => writeFileSync(path, text.replace('"promoted"', '"prom\u0001oted"'))],
  ['an older one', (path, text) => writeFileSync(path, `${text.trimEnd().split('\n').slice(0, -3).join('\n')}\n`)],
];

describe.each(damages)('a file that is %s', (kind, damage) => {
  it('is rebuilt from the copy, with a report, if it is the version log', async () => {
    const { data, text, list } = await used();
    damage(logPath(data), text);
    const damaged = existsSync(logPath(data)) ? readFileSync(logPath(data)) : null;
    const { log, reported } = await open(data);
    expect(reported).toEqual([expect.stringMatching(/version log .*log\.jsonl .*it was rebuilt from its copy/)]);
    expect(log.list()).toEqual(list());
    expect(readFileSync(logPath(data), 'utf8')).toBe(text);
    if (/garbage|damaged/.test(kind)) expect(readFileSync(`${logPath(data)}.damaged`)).toEqual(damaged);
    expect(await adopt(log, data, 4)).toBe(4);
    await log.close();
    expect((await open(data)).reported).toEqual([]);
  });

  it('is made again from the log if it is the copy', async () => {
    const { data, text, list } = await used();
    damage(copyPath(data), text);
    const { log, reported } = await open(data);
    // One that is missing is reported by the record of the directory, which knows whether there was one.
    expect(reported).toHaveLength(kind === 'missing' ? 0 : 1);
    for (const what of reported) expect(what).toMatch(/copy of the version log/);
    expect(log.list()).toEqual(list());
    expect(readFileSync(copyPath(data), 'utf8')).toBe(text);
  });

  it('is refused if there is no copy, and nothing changes', async () => {
    const { data, text } = await used();
    rmSync(copyPath(data));
    damage(logPath(data), text);
    const before = existsSync(logPath(data)) ? readFileSync(logPath(data)) : null;
    await expect(open(data, { known })).rejects.toMatchObject({
      code: expect.stringMatching(/STATE_LOST|STORE_CORRUPT/),
      message: expect.stringMatching(/log\.jsonl.*Nothing was changed.*--start-without versions/),
    });
    expect(existsSync(logPath(data)) ? readFileSync(logPath(data)) : null).toEqual(before);
  });

  it('is gone on without if a person accepts the loss, and no number or folder is used again', async () => {
    const { data, text } = await used();
    rmSync(copyPath(data));
    damage(logPath(data), text);
    const { log, reported } = await open(data, { known, acceptLoss: true });
    expect(reported).toEqual(
      expect.arrayContaining([expect.stringContaining('goes on without the lines that are lost')]),
    );
    expect(log.nextNumber).toBeGreaterThanOrEqual(4);
    const live = log.live().number;
    const number = await adopt(log, data, 9);
    expect(number).toBeGreaterThanOrEqual(4);
    expect(log.get(number)).toMatchObject({ state: 'live', parent: live });
    for (const seed of [1, 2, 3]) {
      expect((await readAdapter(join(data, 'versions', `00000${seed}`))).adapter).toEqual(someAdapter(seed));
    }
    await log.close();
    const again = await open(data);
    expect(again.log.list()).toEqual(log.list());
    expect(again.log.get(number)).toMatchObject({ number, state: 'live' });
    expect(await adopt(again.log, data, 10)).toBe(number + 1);
  });
});

test('a whole folder of versions that is missing is refused if other files know versions', async () => {
  const { data } = await used();
  rmSync(join(data, 'versions'), { recursive: true });
  rmSync(copyPath(data));
  await expect(open(data, { known })).rejects.toMatchObject({
    code: 'STATE_LOST',
    message: expect.stringMatching(/log\.jsonl is missing, but events\.jsonl knows version 3/),
  });
  const { log } = await open(data, { known, acceptLoss: true });
  expect(log.live()).toMatchObject({ number: 4, origin: 'base' });
});

test('a missing folder of versions is rebuilt from the copy, and the versions without adapters are reported', async () => {
  const { data } = await used();
  rmSync(join(data, 'versions'), { recursive: true });
  const { log, reported } = await open(data);
  expect(reported).toEqual([
    expect.stringContaining('was missing; it was rebuilt'),
    expect.stringContaining('the adapters of the versions 1, 2 are missing'),
  ]);
  expect(log.warnings.map(({ code }) => code)).toEqual(['ADAPTER_INVALID', 'ADAPTER_INVALID', 'ADAPTER_INVALID']);
  expect(log.live()).toMatchObject({ number: 4, origin: 'rollback', parent: 0 });
});

test('an older log and its older copy are refused if other files know later versions', async () => {
  const { data, text } = await used();
  const older = text.slice(0, text.indexOf('\n', text.indexOf('"number":2')) + 1);
  writeFileSync(logPath(data), older);
  writeFileSync(copyPath(data), older);
  rmSync(join(data, 'versions', '000003'), { recursive: true });
  await expect(open(data, { known: [{ number: 3, from: 'directory.json' }] })).rejects.toMatchObject({
    code: 'STATE_LOST',
    message: expect.stringContaining('directory.json knows version 3'),
  });
});

test('a log that contradicts its copy is refused, and so is a readable line that differs', async () => {
  const { data, text } = await used();
  const other = await used();
  writeFileSync(copyPath(data), readFileSync(copyPath(other.data), 'utf8').replaceAll('5000', '6000'));
  await expect(open(data)).rejects.toMatchObject({
    code: 'STATE_LOST',
    message: expect.stringContaining('contradict each other from line 2 on'),
  });
  writeFileSync(copyPath(data), text);
  writeFileSync(logPath(data), text.replace('"number":3', '"number":7'));
  await expect(open(data)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
});

test.each(['two lines with one number', 'a number that jumps'])(
  '%s are rebuilt from the copy or refused',
  async (kind) => {
    const { data, text, list } = await used();
    const line = text.split('\n').find((one) => one.includes('"number":2')) ?? '';
    const wrong = kind.startsWith('two') ? `${text}${line}\n` : text.replace(`${line}\n`, '');
    writeFileSync(logPath(data), wrong);
    const { log } = await open(data);
    expect(log.list()).toEqual(list());
    await log.close();
    writeFileSync(logPath(data), wrong);
    rmSync(copyPath(data));
    await expect(open(data)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/line \d/),
    });
  },
);

test('the copy is completed without a report after a crash between a line and its copy', async () => {
  const { data, text } = await used();
  writeFileSync(copyPath(data), text.slice(0, text.trimEnd().lastIndexOf('\n') + 1));
  appendFileSync(copyPath(data), '{"type":"promo');
  expect((await open(data)).reported).toEqual([]);
  expect(readFileSync(copyPath(data), 'utf8')).toBe(text);
});

test('a log of an earlier Hone gets a copy, without a report', async () => {
  const { data, text } = await used();
  rmSync(copyPath(data));
  expect((await open(data)).reported).toEqual([]);
  expect(readFileSync(copyPath(data), 'utf8')).toBe(text);
});

test('a loss that is accepted where nothing is lost is refused', async () => {
  const { data } = await used();
  await expect(open(data, { acceptLoss: true })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
});

test('adapters that cannot be removed are reported with the reason', async () => {
  const { data } = await used();
  symlinkSync('nowhere', join(data, 'versions', '000001', 'link'));
  const failures: string[] = [];
  const { log } = await open(data, { keepVersions: 0, onRemovalFailed: ({ message }) => failures.push(message) });
  expect(failures).toEqual([expect.stringContaining('000001/link')]);
  await log.makeRoom();
  expect(failures).toHaveLength(1);
});
