/** The status of the store: how much it holds, and its bounds. */

import type { Database } from '../sqlite/index.js';
import type { Counts } from './counts.js';
import { type LogBound, sizeOf } from './log-bound.js';
import type { Reads } from './reads.js';
import type { RetentionSettings } from './retention.js';
import type { ReplayStatus } from './types.js';

export interface StatusSettings extends RetentionSettings {
  /** The database file. */
  readonly path: string;
}

/**
 * @param counts the writer's, so that the status needs no counting
 * @param log null: the file is read without a log
 */
export function statusOf(
  database: Database,
  counts: Counts,
  reads: Pick<Reads, 'lastSequence' | 'oldestGenerationAtMs'>,
  log: Pick<LogBound, 'logBytes' | 'heldSinceMs'> | null,
  { path, maxBytes, maxAgeMs }: StatusSettings,
): Omit<ReplayStatus, 'refusal'> {
  const { running, finished, cancelled, aborted, ...others } = counts;
  const pages = database.readNumber('page_count');
  const pageBytes = database.readNumber('page_size');
  const logBytes = log?.logBytes ?? 0;
  return {
    generations: running + finished + cancelled + aborted,
    running,
    finished,
    aborted,
    ...others,
    lastSequence: reads.lastSequence(),
    oldestGenerationAtMs: reads.oldestGenerationAtMs(),
    fileBytes: pages * pageBytes + logBytes + sizeOf(`${path}-shm`),
    usedBytes: (pages - database.readNumber('freelist_count')) * pageBytes,
    logBytes,
    logHeldSinceMs: log?.heldSinceMs ?? null,
    maxBytes,
    maxAgeMs,
  };
}
