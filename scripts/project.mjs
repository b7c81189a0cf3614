// Shared by the scripts of this folder: the project's folder, lines of progress, and running a program.

import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Prints one line of progress, on standard error, so that the output of a command can be piped. */
export function say(line) {
  process.stderr.write(`hone: ${line}\n`);
}

/** Prints a message and ends the process with code 1. */
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

/**
 * Runs npm. If npm started this process, npm_execpath is the path of npm's own JavaScript file. That works even if
 * `npm` is a shell script that spawn cannot start.
 */
export function runNpm(args, env, cwd) {
  const npm = process.env.npm_execpath;
  if (npm?.endsWith('npm-cli.js')) return runProgram(process.execPath, [npm, ...args], env, cwd);
  return runProgram('npm', args, env, cwd);
}

/** Prints a line every few seconds while long work goes on. @returns a function that stops it */
export function showProgress(describe, everyMs = 5000) {
  const started = Date.now();
  const timer = setInterval(() => say(`  ${secondsSince(started)} s: ${describe()}`), everyMs);
  return () => clearInterval(timer);
}

export function secondsSince(started) {
  return Math.round((Date.now() - started) / 1000);
}
