/**
 * Every metric of Hone's own: name, type, labels, meaning. `docs/metrics.md` is the same list for people; a test compares.
 *
 * Labels hold words of closed sets (codes, reasons, states) or version numbers of the few versions that are held, never
 * anything of a request. Times are seconds, sizes bytes.
 */

export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricDefinition {
  readonly type: MetricType;
  readonly labels?: readonly string[];
  readonly help: string;
  /** Upper bounds; of histograms. */
  readonly buckets?: readonly number[];
}

const fromHalfMillisecond = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const toMinutes = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
const toHours = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400];

export const metricTable = {
  hone_requests_total: {
    type: 'counter',
    labels: ['code'],
    help: 'Completion requests that have ended, by OK or the code of their error (docs/errors.md); refused ones too.',
  },
  hone_completions_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Completions that have ended, by finish reason.',
  },
  hone_prompt_tokens_total: {
    type: 'counter',
    help: 'Prompt tokens of requests that have left the queue; completions of one request share their prompt.',
  },
  hone_cached_prompt_tokens_total: {
    type: 'counter',
    help: 'Of the prompt tokens, those that the prefix cache saved computing.',
  },
  hone_generated_tokens_total: { type: 'counter', help: 'Tokens sampled, over all completions.' },
  hone_time_to_first_token_seconds: {
    type: 'histogram',
    buckets: toMinutes,
    help: 'From the call to the first token, queueing and prefill included.',
  },
  hone_time_per_output_token_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Mean time between the tokens of a completion after the first.',
  },
  hone_request_duration_seconds: {
    type: 'histogram',
    labels: ['outcome'],
    buckets: [...toMinutes, 120, 300, 600],
    help: 'From the call to its last event, by outcome: ok, cancelled (by the caller or its deadline) or error.',
  },
  hone_queue_wait_seconds: {
    type: 'histogram',
    buckets: toMinutes,
    help: 'From submission to the first chunk of the prompt.',
  },
  hone_prefill_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Time that a turn of the inference worker spent on prompts; turns without are left out.',
  },
  hone_prefill_tokens: {
    type: 'histogram',
    buckets: [1, 8, 16, 32, 64, 128, 256, 512, 1024],
    help: 'Prompt tokens that a turn computed; turns without are left out.',
  },
  hone_decode_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Time that a turn of the inference worker spent on decode steps; turns without are left out.',
  },
  hone_decode_rows: {
    type: 'histogram',
    buckets: [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128],
    help: 'Completions that a turn decoded a token for; turns without are left out.',
  },
  hone_decode_groups: {
    type: 'histogram',
    buckets: [1, 2, 3, 4, 6, 8, 16],
    help: 'Groups of rows (by version and length) that a turn decoded, one step each; turns without are left out.',
  },
  hone_running_sequences: { type: 'gauge', help: 'Completions that are being decoded.' },
  hone_queued_requests: { type: 'gauge', help: 'Requests that wait for a slot.' },
  hone_queued_tokens: { type: 'gauge', help: 'Prompt tokens of the requests that wait.' },
  hone_parked_requests: {
    type: 'gauge',
    help: 'Requests that nothing is computed for because their readers are slow.',
  },
  hone_background_requests: {
    type: 'gauge',
    help: 'Requests that nobody waits for (exploration, the gate, shadows) and that have not come to their end.',
  },
  hone_explored_completions_total: {
    type: 'counter',
    help: 'Completions that were drawn while the server was idle, and kept; nobody was shown them.',
  },
  hone_explored_tokens_total: { type: 'counter', help: 'Tokens sampled for them, for those that were not kept too.' },
  hone_explorations_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Drawings for a prompt that have ended: kept (all of them), gave_way (to a request; the rest comes later), dropped or failed.',
  },
  hone_kv_bytes: { type: 'gauge', help: 'Memory for keys and values that is promised to requests.' },
  hone_kv_budget_bytes: { type: 'gauge', help: 'Memory for keys and values that there is.' },
  hone_prefix_cache_bytes: { type: 'gauge', help: 'Memory that the prefix cache holds.' },
  hone_prefix_cache_budget_bytes: { type: 'gauge', help: 'Memory that the prefix cache may hold.' },
  hone_threads: { type: 'gauge', labels: ['of'], help: 'Threads of the policy and of the learner (0: off).' },
  hone_inference_worker_restarts_total: { type: 'counter', help: 'Times the inference worker crashed.' },
  hone_feedback_total: {
    type: 'counter',
    labels: ['kind', 'status'],
    help: 'Items of feedback by kind (score, preference or edit) and by what became of them: stored, replaced, retracted, duplicate or refused.',
  },
  hone_feedback_refused_total: {
    type: 'counter',
    labels: ['code'],
    help: 'Items of feedback that were refused, by code.',
  },
  hone_feedback_early_total: {
    type: 'counter',
    help: 'Items of feedback that came while their generation was still running.',
  },
  hone_feedback_late_total: {
    type: 'counter',
    help: 'Scores that came, or changed, after the window of their metric (docs/feedback.md).',
  },
  hone_store_failures_total: {
    type: 'counter',
    help: 'Times that the store began to refuse writes: until it takes them again, requests are served but not kept.',
  },
  hone_replay_generations: {
    type: 'gauge',
    labels: ['state'],
    help: 'Generations in the store, by state: running, finished, cancelled or aborted.',
  },
  hone_replay_scores: { type: 'gauge', help: 'Scores that stand.' },
  hone_replay_scored_generations: { type: 'gauge', help: 'Generations with at least one score.' },
  hone_replay_bytes: { type: 'gauge', help: 'Size of the store.' },
  hone_replay_used_bytes: { type: 'gauge', help: 'Of the size of the store, in use.' },
  hone_replay_max_bytes: {
    type: 'gauge',
    help: 'Bytes in use from which old generations make room; absent: no bound.',
  },
  hone_replay_evicted_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Generations that made room, by reason: by_age, unfinished, unscored or oldest.',
  },
  hone_replay_erased_total: { type: 'counter', help: 'Generations erased by subject.' },
  hone_replay_oldest_age_seconds: { type: 'gauge', help: 'Age of the oldest generation in the store.' },
  hone_learner_state: {
    type: 'gauge',
    labels: ['state'],
    help: '1 for the state that the learner is in, 0 for the others.',
  },
  hone_learner_restarts_total: { type: 'counter', help: 'Times the learner process died and was started again.' },
  hone_learner_steps: { type: 'gauge', help: 'Training steps taken; goes back to the checkpoint after a crash.' },
  hone_learner_dropped_steps: { type: 'gauge', help: 'Of these, dropped because a figure was not finite.' },
  hone_learner_rounds: { type: 'gauge', help: 'Rounds finished.' },
  hone_learner_setbacks: { type: 'gauge', help: 'Of these, out of bounds: they made no candidate.' },
  hone_learner_scores_seen: { type: 'gauge', help: 'Scores that the learner has read.' },
  hone_learner_trainable_completions: {
    type: 'gauge',
    help: 'Completions that the learner holds and may train on, in groups and pairs.',
  },
  hone_learner_preference_pairs: { type: 'gauge', help: 'Pairs among them that were compared.' },
  hone_learner_pending_rewards: { type: 'gauge', help: 'Generations whose reward waits for a window to close.' },
  hone_learner_oldest_age_seconds: {
    type: 'gauge',
    help: 'Age of the oldest completion that the learner may train on.',
  },
  hone_learner_uses_per_completion: {
    type: 'gauge',
    help: 'Mean times that each of them was used: the replay ratio in effect.',
  },
  hone_learner_staleness_versions: {
    type: 'histogram',
    buckets: [0, 1, 2, 3, 5, 8, 12, 16, 32],
    help: 'Staleness of the completions used, in versions behind the live one, counted when a round ends.',
  },
  hone_learner_loss: { type: 'gauge', help: 'Loss of the last step.' },
  hone_learner_mean_reward: { type: 'gauge', help: 'Mean reward of the completions of the last round.' },
  hone_learner_kl_nats: { type: 'gauge', help: 'KL to the reference, nats per completion, of the last round.' },
  hone_learner_below_mean_h_nats: {
    type: 'gauge',
    help: 'Mean h of the completions below the mean; beyond +-10 is a sign of trouble.',
  },
  hone_learner_gradient_norm: { type: 'gauge', help: 'Norm of the last gradient, before clipping.' },
  hone_learner_step_seconds: { type: 'gauge', help: 'Time of a training step.' },
  hone_learner_processor_share: {
    type: 'gauge',
    help: 'Cores that training got over its last 20 seconds; well below 1: it starves.',
  },
  hone_score_to_served_seconds: {
    type: 'histogram',
    buckets: toHours,
    help: "From a score's acknowledgement to the first live version whose training round began with the score read.",
  },
  hone_version_info: {
    type: 'gauge',
    labels: ['version', 'adapter_digest', 'package_digest'],
    help: '1 for the version that serves new requests.',
  },
  hone_live_version: { type: 'gauge', help: 'Number of the version that serves new requests.' },
  hone_held_versions: { type: 'gauge', help: 'Versions whose weights are held.' },
  hone_version_mean_reward: {
    type: 'gauge',
    labels: ['version'],
    help: 'Mean reward of the completions that a version was trained on, for the versions that are held.',
  },
  hone_versions_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'What became of versions: created, promoted, rejected, rolled_back (to an older one) or failed (a step of it failed).',
  },
  hone_gate_verdicts_total: {
    type: 'counter',
    labels: ['check', 'outcome'],
    help: 'What the checks of the gate said of candidates: passed, failed or skipped.',
  },
  hone_mode: {
    type: 'gauge',
    labels: ['mode'],
    help: '1 for the mode in which candidates come to serve, 0 for the others.',
  },
  hone_trial_version: {
    type: 'gauge',
    labels: ['state'],
    help: 'Number of the version on trial, as canary or shadow; absent where there is none.',
  },
  hone_canary_rewards: {
    type: 'gauge',
    labels: ['arm'],
    help: 'Rewards that the canary has counted, of the live version and of the candidate.',
  },
  hone_canary_mean_reward: { type: 'gauge', labels: ['arm'], help: 'Their mean.' },
  hone_canary_log_evidence: {
    type: 'gauge',
    labels: ['of'],
    help: 'Natural logarithm of the evidence that the candidate is worse, or not worse by more than the margin.',
  },
  hone_canary_log_evidence_needed: { type: 'gauge', help: 'Where either decides.' },
  hone_swap_duration_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'From the order to swap to the first step that may run on the new version, probe included.',
  },
  hone_swap_wait_seconds: {
    type: 'histogram',
    buckets: [...toMinutes, 300],
    help: 'Of it, waiting for the oldest version to drain.',
  },
  hone_swap_stall_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Pause that running streams saw between two steps because of a swap.',
  },
  hone_figures_age_seconds: {
    type: 'gauge',
    labels: ['of'],
    help: 'Age of the gauges that the serving side and the store were asked for.',
  },
} as const satisfies Record<string, MetricDefinition>;

/** Label values that exist from the start, so that a rate over them has a first sample. */
export const knownLabels = {
  hone_replay_evicted_total: ['by_age', 'unfinished', 'unscored', 'oldest'].map((reason) => ({ reason })),
  hone_completions_total: ['stop', 'length', 'cancelled', 'error'].map((reason) => ({ reason })),
  hone_gate_verdicts_total: ['finite', 'kl', 'health', 'reward_model', 'off_policy'].flatMap((check) =>
    ['passed', 'failed', 'skipped'].map((outcome) => ({ check, outcome })),
  ),
  hone_feedback_total: ['score', 'preference', 'edit'].flatMap((kind) =>
    ['stored', 'replaced', 'retracted', 'duplicate', 'refused']
      .filter((status) => kind !== 'edit' || status !== 'retracted')
      .map((status) => ({ kind, status })),
  ),
  hone_versions_total: ['created', 'promoted', 'rejected', 'rolled_back', 'failed'].map((outcome) => ({ outcome })),
  hone_explorations_total: ['kept', 'gave_way', 'dropped', 'failed'].map((outcome) => ({ outcome })),
  hone_requests_total: ['OK', 'INVALID_REQUEST', 'QUEUE_FULL', 'CANCELLED', 'DEADLINE_EXCEEDED', 'INTERNAL'].map(
    (code) => ({ code }),
  ),
} as const;

type Table = typeof metricTable;

/** Names of the metrics of a type. */
export type NameOf<Type> = { [Name in keyof Table]: Table[Name]['type'] extends Type ? Name : never }[keyof Table];

/** The labels that a metric of the table takes: none, or all that it names. */
export type LabelsOf<Name extends keyof Table> = Table[Name] extends {
  readonly labels: readonly (infer Label extends string)[];
}
  ? [labels: Readonly<Record<Label, string>>]
  : [];
