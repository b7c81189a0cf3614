/** The lock of a folder, which the operating system holds. */

import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { takeFileLock } from '../../../src/sqlite/index.js';
import { temporaryFolder } from '../../support/folders.js';

let folder: string;
let path: string;

beforeEach(() => {
  folder = temporaryFolder();
  path = join(folder, 'lock');
});

it('is taken once, until it is released, and leaves an empty file', () => {
  const lock = takeFileLock(path);
  expect(takeFileLock(path)).toBeNull();
  lock?.release();
  lock?.release();
  expect(statSync(path).size).toBe(0);
  const next = takeFileLock(path);
  expect(next).not.toBeNull();
  next?.release();
});

it('is free in a copy of the file', () => {
  const lock = takeFileLock(path);
  cpSync(path, join(folder, 'copy'));
  const copy = takeFileLock(join(folder, 'copy'));
  expect(copy).not.toBeNull();
  copy?.release();
  lock?.release();
});

it.each(['text', '{"pid":1}', 'x'.repeat(5000)])(
  'is refused if the file holds something, which stays (%#)',
  (content) => {
    writeFileSync(path, content);
    expect(() => takeFileLock(path)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('delete the file') }),
    );
    expect(readFileSync(path, 'utf8')).toBe(content);
  },
);

it('is refused with the reason if the file cannot be made', () => {
  expect(() => takeFileLock(join(folder, 'missing', 'lock'))).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  expect(() => takeFileLock(join(folder, 'x'.repeat(300)))).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('too long') }),
  );
});

it.each([
  ['deleted', () => rmSync(path)],
  ['renamed', () => renameSync(path, `${path}.old`)],
  ['replaced', () => renameSync(join(folder, 'other'), path)],
  ['replaced by a folder', () => [rmSync(path), mkdirSync(path)]],
])('tells its holder that the file was %s', async (_, change) => {
  writeFileSync(join(folder, 'other'), '');
  const lock = takeFileLock(path);
  expect(lock?.isInPlace()).toBe(true);
  const lost = new Promise<void>((resolve) => lock?.watch(resolve));
  change();
  await lost;
  expect(lock?.isInPlace()).toBe(false);
  lock?.release();
});
