/** Node's own SQLite driver, loaded so that Node 22 does not print a warning that it is experimental. */

import type * as NodeSqlite from 'node:sqlite';

/** `node:sqlite`: built into Node, so there is nothing to compile or to download. */
export const { DatabaseSync }: typeof NodeSqlite = loadDriver();

function loadDriver(): typeof NodeSqlite {
  const { emitWarning } = process;
  const unlessAboutSqlite = (warning: string | Error, ...rest: unknown[]): void => {
    if (!String(warning).startsWith('SQLite is an experimental feature')) {
      Reflect.apply(emitWarning, process, [warning, ...rest]);
    }
  };
  // Node warns while the module is loaded, once per thread. Only that warning is held back, and only during the load.
  process.emitWarning = unlessAboutSqlite;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
