/** Where the project lies, wherever the compiled bench runs from. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const projectRoot = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
/** The tests' package with random weights: what `--quick` runs on. */
export const tinyPackage = join(projectRoot, 'test/fixtures/tiny');
/** The default policy. */
export const defaultPackage = join(projectRoot, 'models/tldr');
