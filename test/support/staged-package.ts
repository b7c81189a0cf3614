/** What npm packs of Hone, as files in a folder. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectFolder } from './server.js';

/** Copies into an empty folder all that the package holds. */
export const { stagePackage } = (await import(pathToFileURL(join(projectFolder, 'scripts/package.mjs')).href)) as {
  readonly stagePackage: (folder: string) => void;
};
