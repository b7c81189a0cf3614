// What the set-up scripts share: where the project lies, how they speak, how they run a program.

import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** One line of progress. On standard error, so that what a command prints can be piped. */
export function say(line) {
  process.stderr.write(`hone: ${line}\n`);
}

/** Ends the process with a message that says what to do. */
export function fail(message) {
  say(message);
  process.exit(1);
}

/** Runs a program in the project folder, its output on our standard error; resolves to its exit code. */
export function runProgram(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}

/** Runs a JavaScript file of an installed package with this Node. */
export function runNode(file, args, env) {
  return runProgram(process.execPath, [file, ...args], env);
}
