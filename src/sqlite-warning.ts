/** What Node 22 says of SQLite: that it is experimental. Users of Hone can do nothing about it. */

/**
 * Keeps this thread from warning that SQLite is experimental; every other warning is shown as before. To be called before
 * anything imports `node:sqlite`, for the warning comes with its loading.
 */
export function silenceSqliteWarning(): void {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((...args: readonly unknown[]): void => {
    const [warning, kind] = args;
    if (kind === 'ExperimentalWarning' && String(warning).startsWith('SQLite ')) return;
    Reflect.apply(emitWarning, process, args);
  }) as typeof emitWarning;
}
