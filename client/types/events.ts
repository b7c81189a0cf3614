/** What happens on the server. */

import type { OrUnknown } from './or-unknown.js';

/** What happened. */
export type HoneEventType =
  | 'server_started'
  | 'server_draining'
  | 'learner_state_changed'
  | 'learner_progress'
  | 'learner_setback'
  | 'learner_starved'
  | 'version_created'
  | 'version_promoted'
  | 'version_rejected'
  | 'version_rolled_back'
  | 'version_failed'
  | 'worker_restarted'
  | 'store_failed'
  | 'eviction_failed'
  | 'version_judged'
  | 'canary_started'
  | 'canary_ended'
  | 'mode_changed'
  | 'shadow_started'
  | 'shadow_ended'
  | 'adapters_removed'
  | 'replay_evicted'
  | 'subject_erased'
  | 'learner_engine_opened'
  | 'rater_failed';

/** One thing that happened. */
export interface HoneEvent {
  /** Grows by one per event, over restarts of the server too. */
  readonly sequence: number;
  readonly atMs: number;
  readonly type: OrUnknown<HoneEventType>;
  readonly version?: number;
  readonly adapterDigest: string;
  /** In words, for people. */
  readonly detail: string;
  /** Figures by name. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** From where to watch. */
export interface WatchOptions {
  /** The last event already seen; 0 asks for all that are kept. Absent: only what happens from now on. */
  readonly afterSequence?: number;
  /** Only these; absent: all. */
  readonly types?: readonly HoneEventType[];
}
