/**
 * How busy other programs keep the machine. A measurement beside them says what their load leaves, and not what the
 * machine can do.
 */

import { readFileSync } from 'node:fs';
import { processorTimeOf } from '../../process/processor-time.js';

/** Processor time that was used until a moment, in milliseconds. */
export interface ProcessorTimes {
  readonly atMs: number;
  /** By everybody, on the cores that this process may use. Time that a host gave to other machines counts too. */
  readonly everybodyMs: number;
  /** By this process and its children that have ended. */
  readonly ownMs: number;
  /** Number of cores that this process may use. */
  readonly cores: number;
}

/** Linux counts processor time in hundredths of a second. */
const tickMs = 10;

/** Reads the times. Returns null on a system without /proc. */
export function readProcessorTimes(): ProcessorTimes | null {
  const own = processorTimeOf('self');
  if (own === null) return null;
  try {
    const allowed = allowedCores(readFileSync('/proc/self/status', 'latin1'));
    return {
      atMs: performance.now(),
      ...busyTimes(readFileSync('/proc/stat', 'latin1'), allowed),
      ownMs: own.ownMs + own.endedChildrenMs,
    };
  } catch {
    return null;
  }
}

/**
 * The share of the processor time of all cores that other programs used between two readings, 0 to 1. Returns null if
 * it is not known.
 */
export function shareOfOthers(before: ProcessorTimes | null, after: ProcessorTimes | null): number | null {
  if (before === null || after === null) return null;
  const wholeMs = (after.atMs - before.atMs) * after.cores;
  if (wholeMs <= 0) return null;
  const others = after.everybodyMs - before.everybodyMs - (after.ownMs - before.ownMs);
  return Math.min(1, Math.max(0, others / wholeMs));
}

/** The cores of `Cpus_allowed_list`, such as `0-3,8`. Null if the text does not name them. */
export function allowedCores(status: string): ReadonlySet<number> | null {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
  if (list === undefined) return null;
  const cores = list.split(',').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return new Set(cores);
}

/** Sums the lines `cpu<n>` of /proc/stat. @param allowed null: all cores */
export function busyTimes(
  text: string,
  allowed: ReadonlySet<number> | null,
): Pick<ProcessorTimes, 'everybodyMs' | 'cores'> {
  let [ticks, cores] = [0, 0];
  for (const [, core, figures = ''] of text.matchAll(/^cpu(\d+) (.*)$/gm)) {
    if (allowed !== null && !allowed.has(Number(core))) continue;
    const [user = 0, nice = 0, system = 0, _idle, _waiting, irq = 0, softIrq = 0, stolen = 0] = figures
      .split(' ')
      .map(Number);
    ticks += user + nice + system + irq + softIrq + stolen;
    cores += 1;
  }
  return { everybodyMs: ticks * tickMs, cores };
}
