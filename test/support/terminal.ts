/** A pseudo-terminal for a process, by `script` of util-linux: what it prints for a person is not what it prints for a pipe. */

import { type ChildProcess, spawnSync } from 'node:child_process';
import { quoted } from '../../cli/output.js';
import { startProcess } from './processes.js';

/** Whether there is one here. */
export const hasTerminal = /util-linux/.test(spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '');

/** A process that believes to be at a terminal; both of its outputs are the process's standard output. */
export function spawnOnTerminal(command: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const line = command.map(quoted).join(' ');
  return startProcess('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
