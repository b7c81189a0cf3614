/** Runs cells in a process that a test can kill: `node cells-process.js '<CellRun without module>'`. */

import { runCells } from '../../../studies/cells/cells.js';

const run = JSON.parse(process.argv[2] ?? '{}');
await runCells({ ...run, module: new URL('./square-cell.js', import.meta.url) });
