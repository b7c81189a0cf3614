/** Lowers the priority of a process that learns, rates or measures in the background, so that serving goes first. */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

/**
 * Gives the calling process, with the threads it has and those it will start, the lowest priority of the system: nice
 * 19.
 */
export function takeLowestPriority(): void {
  for (const thread of ownThreads()) {
    try {
      setPriority(thread, constants.priority.PRIORITY_LOW);
    } catch {
      // The thread has ended since it was listed.
    }
  }
}

/**
 * Does what {@link takeLowestPriority} does, and on Linux also moves the calling process to the scheduling policy for
 * idle time (`SCHED_IDLE`, set by the command `chrt` of util-linux or BusyBox). A thread of another process that wakes
 * up then runs at once, while a process that is only at nice 19 may finish its time slice first.
 *
 * Use it only for work that may wait: beside threads that never rest, the process gets next to no time.
 */
export function runOnlyWhenIdle(): void {
  takeLowestPriority();
  if (process.platform !== 'linux') return;
  for (const thread of ownThreads()) {
    const { error } = spawnSync('chrt', ['-i', '-p', '0', String(thread)], { stdio: 'ignore' });
    // The command is not installed.
    if (error !== undefined) return;
  }
}

/** Linux keeps nice value and policy per thread, and Node starts with several threads. */
function ownThreads(): readonly number[] {
  if (process.platform !== 'linux') return [0];
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}
