/** Follows the memory of a server during an attack. */

import { readFileSync } from 'node:fs';

/** Bytes of a page of memory on the machines that Hone runs on. */
const pageBytes = 4096;
const sampleEveryMs = 50;
/** The server answers a scrape on the loop that is under attack, so it is asked rarely. */
const scrapeEveryMs = 500;

export interface MemoryFigures {
  /** Growth of the resident memory, at its peak, in bytes; null on a system without /proc. */
  readonly grownBytes: number | null;
  /** The part of it that may be keys and values: what was promised to requests beyond the most so far. */
  readonly accountedBytes: number;
}

export interface MemoryWatch {
  end(): MemoryFigures;
}

/** The most keys and values that a server has used, by process id: memory that it keeps. */
const highest = new Map<number, number>();

/** Follows the memory of a process from now on. */
export function watchMemory(pid: number, metricsUrl: string | null): MemoryWatch {
  const before = residentBytes(pid);
  let peak = before ?? 0;
  const usedBefore = highest.get(pid) ?? 0;
  let used = usedBefore;
  const sampling = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid) ?? 0);
  }, sampleEveryMs);
  let scraping = false;
  const scrape = async (): Promise<void> => {
    if (scraping || metricsUrl === null) return;
    scraping = true;
    used = Math.max(used, await readUsed(metricsUrl).catch(() => 0));
    scraping = false;
  };
  const scrapes = setInterval(() => void scrape(), scrapeEveryMs);
  return {
    end() {
      clearInterval(sampling);
      clearInterval(scrapes);
      peak = Math.max(peak, residentBytes(pid) ?? 0);
      highest.set(pid, used);
      return { grownBytes: before === null ? null : peak - before, accountedBytes: used - usedBefore };
    },
  };
}

function residentBytes(pid: number): number | null {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * pageBytes;
  } catch {
    return null;
  }
}

/** Keys and values of running requests, and those that the prefix cache holds. */
async function readUsed(url: string): Promise<number> {
  const page = await (await fetch(url, { signal: AbortSignal.timeout(10_000) })).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(page)?.[1] ?? 0);
  return value('hone_kv_bytes') + value('hone_prefix_cache_bytes');
}
