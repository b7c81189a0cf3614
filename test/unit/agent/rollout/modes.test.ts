/** The mode of a data directory is kept in two places and never becomes less careful by a loss. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { type Mode, type ModeCopy, type ModeFileOptions, openModeFile } from '../../../../src/agent/rollout/modes.js';
import { temporaryFolder } from '../../../support/folders.js';

let path: string;
let copied: Mode | undefined;
let reported: string[];

beforeEach(() => {
  path = join(temporaryFolder(), 'mode.json');
  copied = undefined;
  reported = [];
});

async function open(over: ModeFileOptions = {}) {
  const copy: ModeCopy = {
    mode: copied,
    write: async (mode) => {
      copied = mode;
    },
  };
  return openModeFile(path, { copy, onRebuilt: (what) => reported.push(what), ...over });
}

const stored = (): unknown => JSON.parse(readFileSync(path, 'utf8')).mode;

it('a new directory has the mode auto, in both places', async () => {
  expect((await open()).mode).toBe('auto');
  expect([stored(), copied, reported]).toEqual(['auto', 'auto', []]);
});

it('a mode that is set, or given, is in both places', async () => {
  await (await open()).set('apprentice');
  expect([stored(), copied]).toEqual(['apprentice', 'apprentice']);
  expect((await open({ given: 'shadow' })).mode).toBe('shadow');
  expect([stored(), copied, reported]).toEqual(['shadow', 'shadow', []]);
});

it.each([
  ['missing', () => rmSync(path)],
  ['damaged', () => writeFileSync(path, '')],
  ['damaged', () => writeFileSync(path, '{"format":1,"mo')],
  ['damaged', () => writeFileSync(path, '{"format":1,"mode":"none"}')],
])('a %s file is written again from the second place, with a report', async (what, damage) => {
  await (await open()).set('apprentice');
  damage();
  expect((await open({ isUsed: true })).mode).toBe('apprentice');
  expect(reported).toEqual([expect.stringContaining(`mode.json was ${what}; the mode is apprentice`)]);
  expect(stored()).toBe('apprentice');
});

it('the second place is written again from the file', async () => {
  await (await open()).set('canary');
  copied = undefined;
  expect((await open({ isUsed: true })).mode).toBe('canary');
  expect([copied, reported]).toEqual(['canary', []]);
});

it.each([
  ['auto', 'apprentice'],
  ['apprentice', 'auto'],
] as const)(
  'of two places that differ, as after an older copy (%s, %s), the more careful one counts',
  async (one, two) => {
    writeFileSync(path, JSON.stringify({ format: 1, mode: one }));
    copied = two;
    expect((await open()).mode).toBe('apprentice');
    expect([stored(), copied]).toEqual(['apprentice', 'apprentice']);
    expect(reported).toEqual([expect.stringContaining('the more careful one counts, apprentice')]);
  },
);

it('a directory of an earlier Hone without its file has the mode of the newest event, or is refused', async () => {
  expect((await open({ isUsed: true, lastNamed: 'shadow' })).mode).toBe('shadow');
  rmSync(path);
  copied = undefined;
  await expect(open({ isUsed: true })).rejects.toMatchObject({
    code: 'STATE_LOST',
    message: expect.stringContaining('--mode'),
  });
  expect((await open({ isUsed: true, given: 'auto' })).mode).toBe('auto');
});

it('a damaged file that nothing else knows the mode of is refused', async () => {
  writeFileSync(path, 'x');
  await expect(open({ lastNamed: 'auto' })).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
});
