/** Turns errors of the file system into HoneErrors that give the real reason and its remedy. */

import { type ErrorCode, HoneError } from './errors.js';

/** What an error of the system means, by its code. */
const meanings: Readonly<Record<string, readonly [code: ErrorCode, why: string, remedy: string]>> = {
  ENOSPC: ['STORE_FULL', 'the disk is full', 'free space on it; all acknowledged data is safe'],
  EDQUOT: [
    'STORE_FULL',
    "this user's quota is used up",
    'free space or raise the quota; all acknowledged data is safe',
  ],
  EFBIG: [
    'STORE_FULL',
    'a limit on the size of files is reached',
    'raise the limit (`ulimit -f`); all acknowledged data is safe',
  ],
  EMFILE: ['SYSTEM_LIMIT', 'this process has too many open files', 'raise the limit (`ulimit -n`)'],
  ENFILE: [
    'SYSTEM_LIMIT',
    'the system has too many open files',
    'close other programs, or raise the limit of the system',
  ],
  ENOMEM: ['SYSTEM_LIMIT', 'the system has no memory left', 'close other programs'],
  EIO: [
    'SYSTEM_LIMIT',
    'the disk reports an error',
    "check the disk and the system's log; copy the data while it is readable",
  ],
  ENOLCK: ['INVALID_OPTIONS', 'the file system has no locks', 'use a folder on a local disk'],
  EROFS: ['INVALID_OPTIONS', 'the disk is read-only', 'mount it so that it can be written'],
  EACCES: ['INVALID_OPTIONS', 'this user may not do that', 'give this user the right to write there'],
  EPERM: ['INVALID_OPTIONS', 'this user may not do that', 'give this user the right to write there'],
  ENAMETOOLONG: ['INVALID_OPTIONS', 'the path is too long', 'use a shorter path'],
  ELOOP: ['INVALID_OPTIONS', 'its symbolic links form a circle', 'correct the links'],
  ENOTDIR: ['INVALID_OPTIONS', 'a part of the path is no folder', 'correct the path'],
};

/** The code of an error of the system, such as `ENOSPC`; undefined for any other error. */
export function systemCode(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** Whether an error says that there is no room: a full disk, a quota, or a limit on the size of files. */
export function isNoRoom(thrown: unknown): boolean {
  if (thrown instanceof HoneError) return thrown.code === 'STORE_FULL';
  return meanings[systemCode(thrown) ?? '']?.[0] === 'STORE_FULL';
}

/**
 * The HoneError for an error of the file system; a HoneError is returned as it is.
 * @param what failed, for example `the mode cannot be written to /data/mode.json`
 */
export function fileSystemError(thrown: unknown, what: string): HoneError {
  if (thrown instanceof HoneError) return thrown;
  const [code, why, remedy] = meanings[systemCode(thrown) ?? ''] ?? [];
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === undefined) return new HoneError('INTERNAL', `${what}: ${message}`, { cause: thrown });
  return new HoneError(code, `${what}: ${why} (${message}); ${remedy}`, {
    cause: thrown,
    ...(code === 'STORE_FULL' ? { retryAfterMs: 5000 } : {}),
  });
}
