/** Paths in the project. They do not depend on the folder of the compiled bench. */

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const projectRoot = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));
/** The test package with random weights, on which `--quick` runs. */
export const tinyPackage = join(projectRoot, 'test/fixtures/tiny');
/** The default policy. */
export const defaultPackage = join(projectRoot, 'models/tldr');
/** The kit of models that lies beside the project, unless HONE_KIT names another. */
export const kitFolder = process.env.HONE_KIT ?? join(projectRoot, '../shared/models');
