/** Hone's cache of what can be made again, such as packages that are written from other forms. */

import { join, resolve } from 'node:path';

/** Returns `HONE_CACHE`, or `hone` in the user's cache folder (`XDG_CACHE_HOME`, by default `~/.cache`). */
export function cacheFolder(environment: NodeJS.ProcessEnv, home: string): string {
  const own = environment.HONE_CACHE ?? '';
  const shared = environment.XDG_CACHE_HOME ?? '';
  if (own !== '') return resolve(own);
  return join(shared === '' ? join(home, '.cache') : resolve(shared), 'hone');
}
