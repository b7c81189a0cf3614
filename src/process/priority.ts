/** What learns, rates or measures in the background gives way to what serves. */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

/** Gives the calling process, with all threads that it has and will make, the lowest priority of the system: nice 19. */
export function takeLowestPriority(): void {
  for (const thread of ownThreads()) {
    try {
      setPriority(thread, constants.priority.PRIORITY_LOW);
    } catch {
      // Ended meanwhile.
    }
  }
}

/**
 * As {@link takeLowestPriority}, and on Linux the scheduling policy for idle time (`SCHED_IDLE`, set by util-linux's or
 * BusyBox's `chrt`): whoever wakes up runs at once, where a process that is only at nice 19 may finish its time slice first.
 * For work that nobody waits for: beside threads that never rest it gets next to nothing.
 */
export function takeIdleTime(): void {
  takeLowestPriority();
  if (process.platform !== 'linux') return;
  for (const thread of ownThreads()) {
    const { error } = spawnSync('chrt', ['-i', '-p', '0', String(thread)], { stdio: 'ignore' });
    if (error !== undefined) return;
  }
}

/** Linux has a nice value and a policy per thread, and Node begins with several. */
function ownThreads(): readonly number[] {
  if (process.platform !== 'linux') return [0];
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [0];
  }
}
