/** The folder in which Hone is installed, with files that are no programs: the default policy and package.json. */

import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** The folder of Hone's package.json. The compiled programs are below it. */
export const installationFolder = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
