import { join } from 'node:path';
import { projectRoot } from '../../bench/lib/project.js';

/** Where studies keep the cells that they have computed; not under version control. */
export const workFolder = join(projectRoot, '.build/studies');
