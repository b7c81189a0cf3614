/** Memory of a process and its descendants, where the system tells (Linux). */

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

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => descendants(Number(child))))];
}

function rollup(pid: number): { rssMb: number; pssMb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024;
  return { rssMb: field('Rss'), pssMb: field('Pss') };
}
