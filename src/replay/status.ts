/** The status of the store: how much it holds, and its bounds. */

import type { Database } from '../sqlite/index.js';
import type { Counts } from './counts.js';
import type { Reads } from './reads.js';
import type { RetentionSettings } from './retention.js';
import type { ReplayStatus } from './types.js';

/** @param counts the writer's, so that the status needs no counting */
export function statusOf(
  database: Database,
  counts: Counts,
  reads: Pick<Reads, 'lastSequence' | 'oldestGenerationAtMs'>,
  { maxBytes, maxAgeMs }: RetentionSettings,
): ReplayStatus {
  const { running, finished, cancelled, aborted, ...others } = counts;
  const pages = database.readNumber('page_count');
  const pageBytes = database.readNumber('page_size');
  return {
    generations: running + finished + cancelled + aborted,
    running,
    finished,
    aborted,
    ...others,
    lastSequence: reads.lastSequence(),
    oldestGenerationAtMs: reads.oldestGenerationAtMs(),
    fileBytes: pages * pageBytes,
    usedBytes: (pages - database.readNumber('freelist_count')) * pageBytes,
    maxBytes,
    maxAgeMs,
  };
}
