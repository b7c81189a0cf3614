export {
  type Access,
  type Changes,
  Database,
  type DatabaseOptions,
  type LockTime,
  type Statement,
} from './database.js';
export { isResult, type ResultCode, resultCodeOf } from './result-codes.js';
export { type WholeText, whole, wholeText } from './whole-text.js';
