/** Memory and processor time of a process and its descendants, where the system tells (Linux). Memory in units of 2^20 bytes. */

import { readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly processes: number;
  /** Resident memory of the largest process. */
  readonly largestRssMb: number;
  /** Resident memory of all, as if they shared nothing. */
  readonly rssMb: number;
  /** Proportional set size of all: what they share counts once. */
  readonly pssMb: number;
}

/** Undefined where /proc does not tell. */
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
 * Processor time of a process and its descendants so far, in milliseconds, to the nearest 10 of each; undefined where /proc
 * does not tell. Unlike time on the clock, it is nearly the same on a busy machine.
 */
export function processorTimeMs(pid: number): number | undefined {
  try {
    return descendants(pid).reduce((total, one) => {
      // What stands before the last parenthesis is the program's name, which may hold anything.
      const fields = readFileSync(`/proc/${one}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return total + (Number(fields[11]) + Number(fields[12])) * tickMs;
    }, 0);
  } catch {
    return undefined;
  }
}

/** Linux counts in hundredths of a second wherever it tells programs. */
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
