/** Tells whether a process that wrote its id into a file still runs. An id alone does not tell: ids are used again. */

import { readFileSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';

/** What names a process besides its id. Empty on systems without `/proc`. */
export interface RecordedProcess {
  /** When it started, in ticks of the kernel's clock. */
  readonly startedAt: string;
  /** The run of the system, and the name space in which its id counts. */
  readonly boot: string;
  readonly namespace: string;
}

export function ownProcess(): RecordedProcess {
  return { startedAt: startOf('self')?.startedAt ?? '', ...surroundings() };
}

/**
 * Whether a process still runs.
 * @returns undefined if this process cannot tell, as in another container
 */
export function isRunning(pid: number, { startedAt, boot, namespace }: RecordedProcess): boolean | undefined {
  const here = surroundings();
  if (startedAt === '' || here.boot === '') return isThere(pid) ? undefined : false;
  if (boot !== here.boot) return false;
  if (namespace !== here.namespace) return undefined;
  const found = startOf(String(pid));
  if (found === null) return isThere(pid) ? undefined : false;
  // A process that has ended stays in the table until its parent has asked for its exit code.
  return found.startedAt === startedAt && found.state !== 'Z' && found.state !== 'X';
}

/** How long an address may take to accept a connection, milliseconds. */
const waitMs = 500;

/** Whether something accepts connections at an address of this machine. */
export function answers(host: string, port: number): Promise<boolean> {
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  return new Promise((resolve) => {
    const socket = connect({ host: everywhere[host] ?? host, port, timeout: waitMs });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

function surroundings(): Pick<RecordedProcess, 'boot' | 'namespace'> {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { boot, namespace: readlinkSync('/proc/self/ns/pid') };
  } catch {
    return { boot: '', namespace: '' };
  }
}

/** Reads fields 3 and 22 of `/proc/<pid>/stat`. Counting starts after field 2, a name that may hold spaces. */
function startOf(pid: string): { readonly state: string; readonly startedAt: string } | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startedAt: fields[19] ?? '' };
  } catch {
    return null;
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
