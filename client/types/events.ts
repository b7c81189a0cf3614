/** Events of the server. */

import type { OrUnknown } from './or-unknown.js';

/** The kind of an event. */
export type HoneEventType =
  | 'server_started'
  | 'server_draining'
  | 'learner_state_changed'
  | 'learner_progress'
  | 'learner_setback'
  | 'learner_starved'
  | 'gate_starved'
  | 'starvation_ended'
  | 'version_created'
  | 'version_promoted'
  | 'version_rejected'
  | 'version_rolled_back'
  | 'version_failed'
  | 'worker_restarted'
  | 'store_failed'
  | 'eviction_failed'
  | 'state_rebuilt'
  | 'version_judged'
  | 'canary_started'
  | 'canary_ended'
  | 'mode_changed'
  | 'shadow_started'
  | 'shadow_ended'
  | 'adapters_removed'
  | 'replay_evicted'
  | 'replay_log_held'
  | 'subject_erased'
  | 'learner_engine_opened'
  | 'record_set_aside'
  | 'rater_failed'
  | 'scores_ignored';

/** One event. */
export interface HoneEvent {
  /** Grows by one per event and continues over restarts; it jumps only where `state_rebuilt` reports that events were lost. */
  readonly sequence: number;
  readonly atMs: number;
  readonly type: OrUnknown<HoneEventType>;
  readonly version?: number;
  readonly adapterDigest: string;
  /** A description for people. */
  readonly detail: string;
  /** Figures by name. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** Where to begin, and which events to receive. */
export interface WatchOptions {
  /** The last event that the caller has seen; 0 asks for all events that the server keeps. Absent: new events only. */
  readonly afterSequence?: number;
  /** Only events of these types; absent: all. */
  readonly types?: readonly HoneEventType[];
}
