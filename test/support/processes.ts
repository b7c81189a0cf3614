/**
 * Processes of a test, with everything that they start: each has a process group of its own, so that it and its children
 * are found, ended and waited for together, also where the first of them was killed and the others are nobody's.
 */

import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  execFileSync,
  type SpawnOptions,
  spawn,
} from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { atTheEnd } from './ending.js';
import { until } from './until.js';

/** What the system says of a process that lives. */
interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
}

/** Groups that were started here and may still have members. */
const groups = new Set<number>();

/** Starts a program as the first of a group; it ends with the tests of the file at the latest. */
export function startProcess(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  // Detached is what makes the group. Whoever ends the tests from a terminal ends the channel, and with it a server.
  const child = spawn(command, args, { ...options, detached: true });
  if (child.pid !== undefined) groups.add(child.pid);
  return child;
}

/** The same for a file of JavaScript, with a channel. */
export function startScript(file: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return startProcess(process.execPath, [file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...options,
  });
}

/** The same, with a pipe in place of the channel for each of its streams: they must be read. */
export function startPiped(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcessWithoutNullStreams {
  return startProcess(process.execPath, [file, ...args], { env, stdio: 'pipe' }) as ChildProcessWithoutNullStreams;
}

/** What a process has said, and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a file of JavaScript to its end, with something on standard input. */
export async function runPiped(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  input = '',
): Promise<Ended> {
  const child = startPiped(file, args, env);
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}

/** Whether a process lives. One that has ended and that nobody has asked for does not. */
export function isAlive(pid: number): boolean {
  return living().some((entry) => entry.pid === pid);
}

/** Process ids of a process's children. */
export function childrenOf(pid: number): number[] {
  return living().flatMap((entry) => (entry.parent === pid ? [entry.pid] : []));
}

/** Members of the group that a process was started as the first of. */
export function membersOf(group: number): number[] {
  return living().flatMap((entry) => (entry.group === group ? [entry.pid] : []));
}

/** Resolves when a process, that need not be a child of ours, has ended. */
export function gone(pid: number): Promise<void> {
  return until(() => !isAlive(pid), `process ${pid} has ended`);
}

/** Resolves when nothing of the group is left. */
export async function groupGone(group: number): Promise<void> {
  await until(() => membersOf(group).length === 0, `nothing of what process ${group} started is left`);
  groups.delete(group);
}

/** Ends a process and everything that it has started at once; resolves when all of it is gone. */
export async function endGroup(group: number): Promise<void> {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await groupGone(group);
}

// What a test has left is ended. What was started in other ways must end by itself.
atTheEnd('processes', async () => {
  await Promise.all([...groups].map(endGroup));
  await until(() => childrenOf(process.pid).length === 0, 'the processes that the tests have started are gone');
});

function living(): Entry[] {
  return process.platform === 'linux' ? livingOnLinux() : livingElsewhere();
}

function livingOnLinux(): Entry[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    let line: string;
    try {
      line = readFileSync(`/proc/${name}/stat`, 'latin1');
    } catch {
      // It has ended since.
      return [];
    }
    // The name in the second field may hold spaces and brackets.
    const [state, parent, group] = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? [] : [{ pid: Number(name), parent: Number(parent), group: Number(group) }];
  });
}

function livingElsewhere(): Entry[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat=,comm='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [pid, parent, group, state = 'Z', name] = line.trim().split(/\s+/);
    if (state.startsWith('Z') || name === 'ps') return [];
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group) }];
  });
}
