/** Reads how much processor time a process has used, so that one process can see that another one gets none. */

import { readFileSync } from 'node:fs';

/** Milliseconds of all threads. */
export interface ProcessorTime {
  readonly ownMs: number;
  /** Of the children that have ended and were waited for, with theirs. */
  readonly endedChildrenMs: number;
}

/** Linux counts processor time in hundredths of a second. */
const tickMs = 10;

/** Returns null if there is no such process, or no /proc. */
export function processorTimeOf(pid: number | 'self'): ProcessorTime | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The text before the last parenthesis is the program's name, which may hold any character.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15).map(Number);
    return { ownMs: (user + system) * tickMs, endedChildrenMs: (childrenUser + childrenSystem) * tickMs };
  } catch {
    return null;
  }
}
