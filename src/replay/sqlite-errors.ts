/** From what SQLite reports to what a caller of the store can act on. */

import { HoneError } from '../errors.js';
import { isResult, type ResultCode } from '../sqlite/index.js';

/** Results of SQLite and the error that each becomes. */
const meanings: readonly (readonly [result: ResultCode, code: HoneError['code'], remedy: string])[] = [
  [
    'SQLITE_FULL',
    'STORE_FULL',
    'Free space on the disk, or raise the limit of the store; what was acknowledged is safe.',
  ],
  ['SQLITE_IOERR_SHMSIZE', 'STORE_FULL', 'Free space on the disk; what was acknowledged is safe.'],
  // What SQLite says of a quota or of a limit on the size of files.
  [
    'SQLITE_IOERR_WRITE',
    'STORE_FULL',
    'See whether a quota, a limit on the size of files, or a failing disk is in the way; what was acknowledged is safe.',
  ],
  ['SQLITE_CORRUPT', 'STORE_CORRUPT', remedyForCorruption()],
  ['SQLITE_NOTADB', 'STORE_CORRUPT', remedyForCorruption()],
  ['SQLITE_BUSY', 'STORE_LOCKED', 'Stop the other program that holds it.'],
  ['SQLITE_LOCKED', 'STORE_LOCKED', 'Stop the other program that holds it.'],
  ['SQLITE_READONLY', 'STORE_LOCKED', 'Make the file and its directory writable for this user.'],
  ['SQLITE_PERM', 'STORE_LOCKED', 'Make the file and its directory readable and writable for this user.'],
  ['SQLITE_CANTOPEN', 'STORE_LOCKED', 'Make the file and its directory readable and writable for this user.'],
];

/** What to do about a damaged store: nothing is ever thrown away or created anew behind the user's back. */
export function remedyForCorruption(): string {
  return (
    'Nothing was changed. Copy the file and its -wal aside, then restore a backup, ' +
    'or recover what is readable with `sqlite3 <file> .recover`, or move it away to begin with an empty store.'
  );
}

/** The HoneError for whatever an operation on the file at `path` threw; HoneErrors pass through. */
export function fromSqlite(thrown: unknown, path: string): HoneError {
  if (thrown instanceof HoneError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  for (const [result, meaning, remedy] of meanings) {
    if (isResult(thrown, result)) {
      return new HoneError(meaning, `The store ${path} refused: ${message} (${result}). ${remedy}`, {
        cause: thrown,
        ...(meaning === 'STORE_FULL' ? { retryAfterMs: 5000 } : {}),
      });
    }
  }
  if (code === 'ERR_OUT_OF_RANGE') {
    // No Hone writes an integer beyond 2^53.
    return new HoneError(
      'STORE_CORRUPT',
      `The store ${path} holds a foreign value: ${message}. ${remedyForCorruption()}`,
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
