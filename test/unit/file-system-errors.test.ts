/** Errors of the file system become errors that give the real reason and its remedy. */

import { expect, it } from 'vitest';
import { HoneError } from '../../src/errors.js';
import { fileSystemError, isNoRoom } from '../../src/file-system-errors.js';

const failing = (code: string): Error => Object.assign(new Error(`${code}: it failed`), { code });

it.each([
  ['ENOSPC', 'STORE_FULL', 'the disk is full'],
  ['EDQUOT', 'STORE_FULL', 'quota'],
  ['EFBIG', 'STORE_FULL', 'ulimit -f'],
  ['EMFILE', 'SYSTEM_LIMIT', 'ulimit -n'],
  ['EROFS', 'INVALID_OPTIONS', 'read-only'],
  ['EACCES', 'INVALID_OPTIONS', 'this user may not'],
  ['ENAMETOOLONG', 'INVALID_OPTIONS', 'shorter path'],
])('%s becomes %s with its reason', (code, expected, why) => {
  const error = fileSystemError(failing(code), 'the file cannot be written');
  expect(error.code).toBe(expected);
  expect(error.message).toContain('the file cannot be written: ');
  expect(error.message).toContain(why);
  expect(isNoRoom(failing(code))).toBe(expected === 'STORE_FULL');
  expect(error.retryAfterMs).toBe(expected === 'STORE_FULL' ? 5000 : undefined);
});

it('keeps a HoneError, and makes anything else an internal one', () => {
  const error = new HoneError('STORE_FULL', 'full');
  expect(fileSystemError(error, 'x')).toBe(error);
  expect(isNoRoom(error)).toBe(true);
  expect(fileSystemError(new TypeError('oh'), 'x')).toMatchObject({ code: 'INTERNAL', message: 'x: oh' });
});
