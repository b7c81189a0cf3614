/** Where the installed package lies, with the files that are not programs: the default policy, the manifest. */

import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** The folder of package.json: the compiler's output is below it. */
export const packageFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
