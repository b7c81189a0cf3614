/** The events of the loop, as watchers see them. */

/** The same words as the contract's `EventType`. */
export type LoopEventType =
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

/** One thing that happened. It holds no text of prompts or completions. */
export interface LoopEvent {
  /** Grows by one per event, also over restarts; it jumps only where `state_rebuilt` reports that events were lost. */
  readonly sequence: number;
  readonly atMs: number;
  readonly type: LoopEventType;
  readonly version?: number;
  readonly adapterDigest?: string;
  /** Words for people. */
  readonly detail?: string;
  /** Figures by name, units in the names. */
  readonly numbers?: Readonly<Record<string, number>>;
}

/** Where to begin: after a sequence number (0 for all events that are kept), or with the next event if it is absent. */
export interface WatchOptions {
  readonly afterSequence?: number | undefined;
  /** Only events of these types; all if it is empty. */
  readonly types?: readonly LoopEventType[] | undefined;
}
