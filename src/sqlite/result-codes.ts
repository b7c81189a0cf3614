/** Result codes of SQLite: https://sqlite.org/rescode.html. An extended code holds its primary code in the lowest byte. */

const resultCodes = {
  SQLITE_PERM: 3,
  SQLITE_BUSY: 5,
  SQLITE_LOCKED: 6,
  SQLITE_READONLY: 8,
  SQLITE_CORRUPT: 11,
  SQLITE_FULL: 13,
  SQLITE_CANTOPEN: 14,
  SQLITE_NOTADB: 26,
  SQLITE_IOERR: 10,
  SQLITE_IOERR_WRITE: 10 | (3 << 8),
  SQLITE_IOERR_SHMSIZE: 10 | (19 << 8),
} as const;

export type ResultCode = keyof typeof resultCodes;

/** The extended result code of an error that SQLite reported; undefined for any other error. */
export function resultCodeOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return undefined;
  return typeof thrown.errcode === 'number' ? thrown.errcode : undefined;
}

/** Whether an error has this code. A primary code matches all of its extended codes. */
export function isResult(thrown: unknown, name: ResultCode): boolean {
  const found = resultCodeOf(thrown);
  if (found === undefined) return false;
  const wanted = resultCodes[name];
  return found === wanted || (wanted <= 0xff && (found & 0xff) === wanted);
}
