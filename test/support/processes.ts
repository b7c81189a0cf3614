/**
 * Starts the processes of a test. Each has its own process group, so that it and all its descendants can be found, ended
 * and waited for together, even if the first one was killed.
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

/** The parent and the group of a running process, from /proc. */
interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
}

/** The groups that were started here and may still have members. */
const groups = new Set<number>();

/** Starts a program as the leader of a new group. It ends at the latest when the tests of the file have ended. */
export function startProcess(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  // `detached` makes a new group. If the tests are stopped from a terminal, the channel closes, and a server ends with it.
  const child = spawn(command, args, { ...options, detached: true });
  if (child.pid !== undefined) groups.add(child.pid);
  return child;
}

/** Starts a JavaScript file as the leader of a new group, with an IPC channel. */
export function startScript(file: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return startProcess(process.execPath, [file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...options,
  });
}

/** Starts a JavaScript file as the leader of a new group, with a pipe for each of its streams. The caller reads them. */
export function startPiped(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcessWithoutNullStreams {
  return startProcess(process.execPath, [file, ...args], { env, stdio: 'pipe' }) as ChildProcessWithoutNullStreams;
}

/** The output and the exit code of a process. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a JavaScript file to its end, with a text on standard input. */
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

/** Whether a process is running. A zombie is not. */
export function isAlive(pid: number): boolean {
  return living().some((entry) => entry.pid === pid);
}

/** Returns the process ids of a process's children. */
export function childrenOf(pid: number): number[] {
  return living().flatMap((entry) => (entry.parent === pid ? [entry.pid] : []));
}

/** Resolves with the process id of a process's only child, once it has one: a server starts its learner when it is ready. */
export async function childOf(pid: number): Promise<number> {
  let children: readonly number[] = [];
  await until(() => {
    children = childrenOf(pid);
    return children.length === 1;
  }, `process ${pid} has one child`);
  return children[0] as number;
}

/** Returns the running members of the group with this leader. */
export function membersOf(group: number): number[] {
  return living().flatMap((entry) => (entry.group === group ? [entry.pid] : []));
}

/** Resolves when a process has ended. It need not be a child of this one. */
export function gone(pid: number): Promise<void> {
  return until(() => !isAlive(pid), `process ${pid} has ended`);
}

/** Resolves when all members of the group have ended. */
export async function groupGone(group: number): Promise<void> {
  await until(() => membersOf(group).length === 0, `nothing of what process ${group} started is left`);
  groups.delete(group);
}

/** Kills a process and all that it has started. Resolves when all have ended. */
export async function endGroup(group: number): Promise<void> {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await groupGone(group);
}

// When the tests of a file have ended, all groups that are left are killed.
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
      // The process has ended in the meantime.
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
