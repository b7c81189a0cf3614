// Prepares the clone, then runs the `hone` command or another program of it. `npm start` calls this.
//
//   node scripts/start.mjs [command] [arguments ...]     runs a command of `hone`
//   node scripts/start.mjs --run <file> [arguments ...]  runs another program, by its path in dist/

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare } from './prepare.mjs';
import { root } from './project.mjs';

const given = process.argv.slice(2);
const [file, args] = given[0] === '--run' ? [given[1] ?? '', given.slice(2)] : ['cli/main.js', given];
await prepare('run');
const path = join(root, 'dist', file);
// The program runs in this process, so signals and exit codes need no forwarding.
process.argv = [process.execPath, path, ...args];
await import(pathToFileURL(path).href);
