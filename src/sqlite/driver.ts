/** Node's own SQLite driver, loaded so that Node 22 does not print a warning that it is experimental. */

import type * as NodeSqlite from 'node:sqlite';

/** From `node:sqlite`, which is built into Node, so that nothing has to be compiled or downloaded. */
export const { DatabaseSync }: typeof NodeSqlite = loadDriver();

function loadDriver(): typeof NodeSqlite {
  const { emitWarning } = process;
  const unlessAboutSqlite = (warning: string | Error, ...rest: unknown[]): void => {
    if (!String(warning).startsWith('SQLite is an experimental feature')) {
      Reflect.apply(emitWarning, process, [warning, ...rest]);
    }
  };
  // Node warns while it loads the module, once per thread. This suppresses that warning only, and only during the load.
  process.emitWarning = unlessAboutSqlite;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
