/** Turns errors of SQLite and of the file system into HoneErrors with a remedy. */

import { HoneError } from '../errors.js';
import { isResult, type ResultCode } from '../sqlite/index.js';

/** The error that each result code of SQLite becomes. */
const meanings: readonly (readonly [result: ResultCode, code: HoneError['code'], remedy: string])[] = [
  [
    'SQLITE_FULL',
    'STORE_FULL',
    'Free space on the disk, or raise the limit of the store; all acknowledged data is safe.',
  ],
  ['SQLITE_IOERR_SHMSIZE', 'STORE_FULL', 'Free space on the disk; all acknowledged data is safe.'],
  // SQLite reports a quota, or a limit on the size of files, with this code.
  [
    'SQLITE_IOERR_WRITE',
    'STORE_FULL',
    'Check for a quota, a limit on the size of files, or a failing disk; all acknowledged data is safe.',
  ],
  ['SQLITE_CORRUPT', 'STORE_CORRUPT', remedyForCorruption()],
  ['SQLITE_NOTADB', 'STORE_CORRUPT', remedyForCorruption()],
  ['SQLITE_BUSY', 'STORE_BUSY', 'Another program holds its lock: end that transaction; all acknowledged data is safe.'],
  [
    'SQLITE_LOCKED',
    'STORE_BUSY',
    'Another program holds its lock: end that transaction; all acknowledged data is safe.',
  ],
  ['SQLITE_READONLY', 'STORE_LOCKED', 'Make the file and its directory writable for this user.'],
  ['SQLITE_PERM', 'STORE_LOCKED', 'Make the file and its directory readable and writable for this user.'],
  ['SQLITE_CANTOPEN', 'STORE_LOCKED', 'Make the file and its directory readable and writable for this user.'],
];

/** The remedy for a damaged store. Hone itself never discards or replaces one. */
export function remedyForCorruption(): string {
  return (
    'Nothing was changed. Copy the file and its -wal aside, then restore a backup, ' +
    'or recover what is readable with `sqlite3 <file> .recover`, or move it away and start the server once with --start-without replay to begin with an empty store.'
  );
}

function retryAfter(code: HoneError['code']): { readonly retryAfterMs?: number } {
  if (code === 'STORE_FULL') return { retryAfterMs: 5000 };
  return code === 'STORE_BUSY' ? { retryAfterMs: 1000 } : {};
}

/** Returns the HoneError for anything that an operation on the file at `path` threw. HoneErrors are returned as they are. */
export function fromSqlite(thrown: unknown, path: string): HoneError {
  if (thrown instanceof HoneError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  for (const [result, meaning, remedy] of meanings) {
    if (isResult(thrown, result)) {
      return new HoneError(meaning, `The store ${path} cannot be used: ${message} (${result}). ${remedy}`, {
        cause: thrown,
        ...retryAfter(meaning),
      });
    }
  }
  if (code === 'ERR_OUT_OF_RANGE') {
    // Hone writes no integer beyond 2^53.
    return new HoneError(
      'STORE_CORRUPT',
      `The store ${path} holds a value that Hone did not write: ${message}. ${remedyForCorruption()}`,
      {
        cause: thrown,
      },
    );
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new HoneError('STORE_LOCKED', `The store ${path} cannot be opened: ${message}.`, { cause: thrown });
  }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new HoneError('STORE_FULL', `The store ${path} cannot grow: ${message}. Free space on the disk.`, {
      cause: thrown,
      retryAfterMs: 5000,
    });
  }
  return new HoneError('INTERNAL', `The store ${path} failed: ${message}${code && ` (${code})`}`, { cause: thrown });
}
