/** How much the store holds. It is counted once when the store opens; then the only writer updates the counts. */

import type { Database } from '../sqlite/index.js';
import type { GenerationState } from './types.js';

export interface Counts extends Record<GenerationState, number> {
  edits: number;
  scores: number;
  /** Generations with at least one score. */
  scoredGenerations: number;
  preferences: number;
}

/** Counts everything, in one pass over the indexes. */
export function countAll(database: Database): Counts {
  const states = database
    .prepare<[], { state: GenerationState; count: number }>(
      'SELECT state, count(*) AS count FROM generations GROUP BY state',
    )
    .all();
  const one = (sql: string): number => database.prepareValue<[], number>(sql).get() ?? 0;
  const counts = {
    running: 0,
    finished: 0,
    cancelled: 0,
    aborted: 0,
    edits: one('SELECT count(*) FROM generations WHERE edit_of IS NOT NULL'),
    scores: one('SELECT count(*) FROM scores'),
    scoredGenerations: one('SELECT count(DISTINCT generation_id) FROM scores'),
    preferences: one('SELECT count(*) FROM preferences'),
  };
  for (const { state, count } of states) counts[state] = count;
  return counts;
}
