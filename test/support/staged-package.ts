/** Puts the files of the npm package into a folder. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectFolder } from './server.js';

/** Copies all files of the package into an empty folder. */
export const { stagePackage } = (await import(pathToFileURL(join(projectFolder, 'scripts/package.mjs')).href)) as {
  readonly stagePackage: (folder: string) => void;
};
