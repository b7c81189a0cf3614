/** The record of a data directory tells a loss from a new directory. */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { DirectoryRecord } from '../../../../server/parts/directory-record.js';
import { checkStoreIsThere, hadMode, reportLostFiles, reportOlderStore } from '../../../../server/parts/lost-state.js';
import { temporaryFolder } from '../../../support/folders.js';

let folder: string;
let reported: string[];

beforeEach(() => {
  folder = temporaryFolder();
  reported = [];
});

const onRebuilt = (what: string) => void reported.push(what);
const open = () => DirectoryRecord.open(folder, onRebuilt);
const path = () => join(folder, 'directory.json');
const file = (name: string) => join(folder, name);

/** What the checks need to know of a data directory. */
function dataDirectory(wasKilled = false) {
  const paths = {
    replayPath: file('replay.sqlite'),
    versionsPath: file('versions'),
    versionsCopyPath: file('versions.copy.jsonl'),
  };
  return { ...paths, wasKilled } as Parameters<typeof reportLostFiles>[0];
}

async function used(): Promise<void> {
  for (const name of ['replay.sqlite', 'events.last', 'versions.copy.jsonl']) writeFileSync(file(name), 'x');
  for (const name of ['raters', 'learner']) mkdirSync(file(name));
  writeFileSync(file('raters/model'), '7');
  writeFileSync(file('learner/checkpoint.safetensors'), 'x');
  const record = open();
  await record.update({ mode: 'shadow' });
  await record.recordAll({ nextVersion: 3, lastEvent: 20, lastChange: 5 });
  await record.close();
}

it('of a new directory knows nothing, and that of a used one what was recorded', async () => {
  expect(open()).toMatchObject({ isKnown: false, held: { files: [], nextVersion: 0 } });
  await used();
  expect(open()).toMatchObject({
    isKnown: true,
    held: { mode: 'shadow', nextVersion: 3, lastEvent: 20, lastChange: 5 },
  });
  expect(reported).toEqual([
    expect.stringContaining('directory.json was missing, though versions.copy.jsonl is there'),
  ]);
});

it('keeps the files that it knows when only the mode changes', async () => {
  await used();
  rmSync(file('replay.sqlite'));
  await open().update({ mode: 'auto' });
  expect(open().lost).toEqual(['replay.sqlite']);
});

it.each(['', '{"format":1,"fil', 'x', '{"format":1,"files":3}'])(
  'is made again from the rest if it is damaged, and the old one is kept (%#)',
  async (content) => {
    await used();
    reported = [];
    writeFileSync(path(), content);
    expect(open()).toMatchObject({ isKnown: false, held: { files: [] } });
    expect(reported).toEqual([expect.stringContaining('directory.json was damaged')]);
    expect(readFileSync(`${path()}.damaged`, 'utf8')).toBe(content);
  },
);

it('of a later Hone is refused', () => {
  writeFileSync(path(), '{"format":2}');
  expect(open).toThrow(expect.objectContaining({ code: 'STORE_TOO_NEW' }));
});

describe('a start', () => {
  it('refuses a store that is missing, in the record or because a version was learned', async () => {
    expect(() => checkStoreIsThere(dataDirectory(), open(), { startWithout: undefined }, 7, onRebuilt)).not.toThrow();
    mkdirSync(file('versions'));
    writeFileSync(file('versions/log.jsonl'), '{"type":"version","version":{"origin":"learned"}}\n');
    const lost = expect.objectContaining({ code: 'STATE_LOST' });
    expect(() => checkStoreIsThere(dataDirectory(), open(), { startWithout: undefined }, 7, onRebuilt)).toThrow(lost);
    rmSync(file('versions/log.jsonl'));
    await used();
    rmSync(file('replay.sqlite'));
    expect(() => checkStoreIsThere(dataDirectory(), open(), { startWithout: 'versions' }, 0, onRebuilt)).toThrow(lost);
    expect(existsSync(file('replay.sqlite'))).toBe(false);
    reported = [];
    checkStoreIsThere(dataDirectory(), open(), { startWithout: 'replay' }, 0, onRebuilt);
    expect(reported).toEqual([expect.stringContaining('a new and empty one is made')]);
  });

  it('refuses to go on without a store that is there', async () => {
    await used();
    expect(() => checkStoreIsThere(dataDirectory(), open(), { startWithout: 'replay' }, 0, onRebuilt)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS' }),
    );
  });

  it('misses a mode that the record or a log of versions knows, but none after a first start that failed', async () => {
    writeFileSync(file('events.last'), 'x');
    expect(hadMode(dataDirectory(), open())).toBe(false);
    mkdirSync(file('versions'));
    writeFileSync(file('versions/log.jsonl'), 'x');
    expect(hadMode(dataDirectory(), open())).toBe(true);
    await open().recordAll({ nextVersion: 1, lastEvent: 1, lastChange: 0 });
    expect(hadMode(dataDirectory(), open())).toBe(false);
    writeFileSync(file('mode.json'), 'x');
    await open().recordAll({ nextVersion: 1, lastEvent: 1, lastChange: 0 });
    rmSync(file('mode.json'));
    expect(hadMode(dataDirectory(), open())).toBe(true);
  });

  it('reports an older copy of the store, but not a new store that a person asked for', async () => {
    await used();
    reported = [];
    const replay = { status: async () => ({ lastSequence: 2 }) } as Parameters<typeof reportOlderStore>[2];
    await reportOlderStore(open(), { startWithout: 'replay' }, replay, onRebuilt);
    expect(reported).toEqual([]);
    await reportOlderStore(open(), { startWithout: undefined }, replay, onRebuilt);
    expect(reported).toEqual([expect.stringContaining('it is an older copy')]);
  });

  it('reports the files that are missing, and a log of the store that a kill should have left', async () => {
    await used();
    reported = [];
    writeFileSync(file('replay.sqlite-wal'), '');
    reportLostFiles(dataDirectory(true), open(), onRebuilt);
    expect(reported).toEqual([]);
    for (const name of ['raters/model', 'learner/checkpoint.safetensors', 'replay.sqlite-wal']) rmSync(file(name));
    reportLostFiles(dataDirectory(false), open(), onRebuilt);
    expect(reported).toEqual([
      expect.stringContaining('learner/checkpoint.safetensors was missing'),
      expect.stringContaining('raters/model was missing'),
    ]);
    reportLostFiles(dataDirectory(true), open(), onRebuilt);
    expect(reported[2]).toMatch(/replay\.sqlite-wal was missing after the server had been killed/);
  });
});
