// `npm start` and its like: prepares the clone, then runs the `hone` command (by default `hone serve`) in this process.
//
//   node scripts/start.mjs [command] [arguments ...]     a command of `hone`
//   node scripts/start.mjs --run <file> [arguments ...]  another program, by its path in dist/

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare } from './prepare.mjs';
import { root } from './project.mjs';

function chooseProgram(args) {
  if (args[0] === '--run') return [args[1] ?? '', args.slice(2)];
  const isCommand = args[0] !== undefined && !args[0].startsWith('-');
  return ['client/cli/main.js', isCommand ? args : ['serve', ...args]];
}

await prepare();
const [file, args] = chooseProgram(process.argv.slice(2));
const path = join(root, 'dist', file);
// In this process, not in a child: signals and exit codes need no forwarding.
process.argv = [process.argv[0] ?? process.execPath, path, ...args];
await import(pathToFileURL(path).href);
