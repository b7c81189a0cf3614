/** Runs a process at a pseudo-terminal, with `script` of util-linux, because it prints other lines there than to a pipe. */

import { type ChildProcess, spawnSync } from 'node:child_process';
import { quoted } from '../../cli/output.js';
import { startProcess } from './processes.js';

/** Whether this machine has `script`. */
export const hasTerminal = /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '');

/** Starts a process at a terminal. Its standard output and standard error both arrive on standard output. */
export function spawnOnTerminal(command: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const line = command.map(quoted).join(' ');
  return startProcess('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
