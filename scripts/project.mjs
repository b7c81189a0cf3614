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
export function runProgram(command, args, env = {}, cwd = root) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}

/** Runs a JavaScript file of an installed package with this Node. */
export function runNode(file, args, env) {
  return runProgram(process.execPath, [file, ...args], env);
}

/** Runs npm. `npm start` says where npm itself lies; that works where `npm` is a shell script that spawn cannot start. */
export function runNpm(args, env, cwd) {
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('npm-cli.js')) return runProgram(process.execPath, [npm, ...args], env, cwd);
  return runProgram('npm', args, env, cwd);
}

/** Says every few seconds that long work goes on, until the function that it gives back is called. */
export function showProgress(describe, everyMs = 5000) {
  const started = Date.now();
  const timer = setInterval(() => say(`  ${secondsSince(started)} s: ${describe()}`), everyMs);
  return () => clearInterval(timer);
}

export function secondsSince(started) {
  return Math.round((Date.now() - started) / 1000);
}
