export { type Access, Database } from './database.js';
export { type FileLock, isSameFile, takeFileLock } from './file-lock.js';
export { isResult, type ResultCode, resultCodeOf } from './result-codes.js';
export { type LockWait, underFileLock } from './wait-for-lock.js';
export { type WholeText, whole, wholeText } from './whole-text.js';
