import { join } from 'node:path';
import { projectRoot } from '../../bench/lib/project.js';

/** The folder for the results of cells. It is not under version control. */
export const workFolder = join(projectRoot, '.build/studies');
