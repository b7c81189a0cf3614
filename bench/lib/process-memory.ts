/** Reads memory (in units of 2^20 bytes) and processor time of a process and its descendants, from /proc of Linux. */

import { readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly processes: number;
  /** Resident memory of the largest process. */
  readonly largestRssMb: number;
  /** Sum of the resident memory of all processes. Shared memory counts several times. */
  readonly rssMb: number;
  /** Sum of the proportional set size of all processes. Shared memory counts once. */
  readonly pssMb: number;
}

/** Returns undefined on a system without /proc. */
export function measureProcessTree(pid: number): ProcessMemory | undefined {
  try {
    const all = descendants(pid).map(rollup);
    return {
      processes: all.length,
      largestRssMb: Math.max(...all.map(({ rssMb }) => rssMb)),
      rssMb: all.reduce((total, { rssMb }) => total + rssMb, 0),
      pssMb: all.reduce((total, { pssMb }) => total + pssMb, 0),
    };
  } catch {
    return undefined;
  }
}

/**
 * Returns the processor time that a process and its descendants have used, in milliseconds, each rounded to 10. Returns
 * undefined on a system without /proc. Unlike elapsed time, it is nearly the same on a busy machine.
 */
export function processorTimeMs(pid: number): number | undefined {
  try {
    return descendants(pid).reduce((total, one) => {
      // The text before the last parenthesis is the program's name, which may hold any character.
      const fields = readFileSync(`/proc/${one}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return total + (Number(fields[11]) + Number(fields[12])) * tickMs;
    }, 0);
  } catch {
    return undefined;
  }
}

/** /proc counts processor time in hundredths of a second. */
const tickMs = 10;

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => descendants(Number(child))))];
}

function rollup(pid: number): { rssMb: number; pssMb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024;
  return { rssMb: field('Rss'), pssMb: field('Pss') };
}
