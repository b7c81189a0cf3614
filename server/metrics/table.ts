/**
 * Every metric of Hone: name, type, labels, meaning. `docs/metrics.md` is the same list for people; a test compares
 * them.
 *
 * Labels contain words of closed sets (codes, reasons, states) or numbers of the few versions in memory, never data of
 * a request. Times are in seconds, sizes in bytes.
 */

type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricDefinition {
  readonly type: MetricType;
  readonly labels?: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

const fromHalfMillisecond = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const toMinutes = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
const toHours = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400];

export const metricTable = {
  hone_requests_total: {
    type: 'counter',
    labels: ['code'],
    help: 'Generation requests that have ended, including refused ones, by OK or the code of their error (docs/errors.md).',
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
    help: 'Prompt tokens that the prefix cache held, so that they were not computed.',
  },
  hone_generated_tokens_total: { type: 'counter', help: 'Sampled tokens of all completions.' },
  hone_time_to_first_token_seconds: {
    type: 'histogram',
    buckets: toMinutes,
    help: 'From the call to the first token, including queueing and prefill.',
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
    help: 'Time that a turn of the inference worker spent on prompts; turns without prompts do not count.',
  },
  hone_prefill_tokens: {
    type: 'histogram',
    buckets: [1, 8, 16, 32, 64, 128, 256, 512, 1024],
    help: 'Prompt tokens that a turn computed; turns without prompts do not count.',
  },
  hone_decode_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Time that a turn of the inference worker spent on decode steps; turns without steps do not count.',
  },
  hone_decode_rows: {
    type: 'histogram',
    buckets: [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128],
    help: 'Completions for which a turn decoded a token; turns without steps do not count.',
  },
  hone_decode_groups: {
    type: 'histogram',
    buckets: [1, 2, 3, 4, 6, 8, 16],
    help: 'Groups of rows (by version and length) that a turn decoded, one step each; turns without steps do not count.',
  },
  hone_running_sequences: { type: 'gauge', help: 'Completions that are being decoded.' },
  hone_queued_requests: { type: 'gauge', help: 'Requests that wait for a slot.' },
  hone_queued_tokens: { type: 'gauge', help: 'Prompt tokens of the requests in the queue.' },
  hone_parked_requests: {
    type: 'gauge',
    help: 'Requests that are parked because their readers are slow.',
  },
  hone_background_requests: {
    type: 'gauge',
    help: 'Requests of exploration, the gate and shadows that have not ended.',
  },
  hone_explored_completions_total: {
    type: 'counter',
    help: 'Completions that exploration drew and stored.',
  },
  hone_explored_tokens_total: {
    type: 'counter',
    help: 'Sampled tokens of exploration, including completions that were not stored.',
  },
  hone_explorations_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Explorations of a prompt that have ended: kept (all completions), gave_way (to a request; the rest comes later), dropped or failed.',
  },
  hone_kv_bytes: { type: 'gauge', help: 'Memory for keys and values that is promised to requests.' },
  hone_kv_budget_bytes: { type: 'gauge', help: 'Memory for keys and values in total.' },
  hone_prefix_cache_bytes: { type: 'gauge', help: 'Memory that the prefix cache holds.' },
  hone_prefix_cache_budget_bytes: { type: 'gauge', help: 'Memory that the prefix cache may hold.' },
  hone_threads: { type: 'gauge', labels: ['of'], help: 'Threads of the policy and of the learner (0: off).' },
  hone_inference_worker_restarts_total: { type: 'counter', help: 'Crashes of the inference worker.' },
  hone_feedback_total: {
    type: 'counter',
    labels: ['kind', 'status'],
    help: 'Items of feedback by kind (score, preference or edit) and result: stored, replaced, retracted, duplicate or refused.',
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
    help: 'Times that writes to the store began to fail, because it was full, damaged or locked by another program.',
  },
  hone_replay_generations: {
    type: 'gauge',
    labels: ['state'],
    help: 'Generations in the store, by state: running, finished, cancelled or aborted.',
  },
  hone_replay_scores: { type: 'gauge', help: 'Scores that were not retracted.' },
  hone_replay_scored_generations: { type: 'gauge', help: 'Generations with at least one score.' },
  hone_replay_available: { type: 'gauge', help: '1 while the store answers, 0 while it does not.' },
  hone_replay_bytes: { type: 'gauge', help: 'Size of the store: the file, its log and the index of the log.' },
  hone_replay_used_bytes: { type: 'gauge', help: 'Size of the part of the file that is in use.' },
  hone_replay_log_bytes: { type: 'gauge', help: "Size of the store's log." },
  hone_replay_log_held: {
    type: 'gauge',
    help: '1 while another program keeps a log that is too long from being emptied, otherwise 0.',
  },
  hone_replay_max_bytes: {
    type: 'gauge',
    help: 'Bytes in use at which old generations are removed; absent: no limit.',
  },
  hone_replay_evicted_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Generations that were removed to make room, by reason: by_age, unfinished, unscored or oldest.',
  },
  hone_replay_erased_total: { type: 'counter', help: 'Generations erased by subject.' },
  hone_replay_oldest_age_seconds: { type: 'gauge', help: 'Age of the oldest generation in the store.' },
  hone_rater_behind: {
    type: 'gauge',
    labels: ['of'],
    help: 'Changes of the store that the reward model or function has not read yet; if it grows, the rater gets too little of the processor, or is too slow.',
  },
  hone_learner_state: {
    type: 'gauge',
    labels: ['state'],
    help: '1 for the state that the learner is in, 0 for the others.',
  },
  hone_learner_restarts_total: { type: 'counter', help: 'Restarts of the learner process after crashes.' },
  hone_learner_steps: { type: 'gauge', help: 'Training steps taken; goes back to the checkpoint after a crash.' },
  hone_learner_dropped_steps: {
    type: 'gauge',
    help: 'Training steps that were dropped because a figure was not finite.',
  },
  hone_learner_rounds: { type: 'gauge', help: 'Finished rounds.' },
  hone_learner_setbacks: { type: 'gauge', help: 'Rounds that went out of bounds and made no candidate.' },
  hone_learner_set_aside: {
    type: 'gauge',
    labels: ['cause'],
    help: 'Scored generations that the learner cannot learn from, by cause: unfit, too_large or broke.',
  },
  hone_learner_memory_bytes: { type: 'gauge', help: 'Memory that the learner keeps to.' },
  hone_learner_scores_seen: { type: 'gauge', help: 'Scores that the learner has read.' },
  hone_learner_trainable_completions: {
    type: 'gauge',
    help: 'Completions in groups and pairs that the learner can train on.',
  },
  hone_learner_preference_pairs: { type: 'gauge', help: 'Pairs of them that a preference compares.' },
  hone_learner_pending_rewards: { type: 'gauge', help: 'Generations whose reward waits for a window to close.' },
  hone_learner_oldest_age_seconds: {
    type: 'gauge',
    help: 'Age of the oldest completion that the learner can train on.',
  },
  hone_learner_uses_per_completion: {
    type: 'gauge',
    help: 'Mean number of times that a completion was used: the effective replay ratio.',
  },
  hone_learner_staleness_versions: {
    type: 'histogram',
    buckets: [0, 1, 2, 3, 5, 8, 12, 16, 32],
    help: 'Staleness of the completions of a round, in versions behind the live one, counted when the round ends.',
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
    help: 'Cores that training used over its last 20 seconds; well below 1: it gets too little of the processor.',
  },
  hone_starved: {
    type: 'gauge',
    labels: ['of'],
    help: '1 while the learner or the gate gets too little of the processor or of the policy, else 0 (hone status gives the reason and the remedy).',
  },
  hone_gate_model_share: {
    type: 'gauge',
    help: 'Share of the runs of the model that a judgement got over its last 20 seconds; absent without a judgement that is so long.',
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
  hone_held_versions: { type: 'gauge', help: 'Versions whose weights are in memory.' },
  hone_version_mean_reward: {
    type: 'gauge',
    labels: ['version'],
    help: 'Mean reward of the completions that a version was trained on, for the versions in memory.',
  },
  hone_versions_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Versions by outcome: created, promoted, rejected, rolled_back (to an older one) or failed (a step of it failed).',
  },
  hone_gate_verdicts_total: {
    type: 'counter',
    labels: ['check', 'outcome'],
    help: 'Results of the checks of the gate: passed, failed or skipped.',
  },
  hone_mode: {
    type: 'gauge',
    labels: ['mode'],
    help: '1 for the mode in which candidates come to serve, 0 for the others.',
  },
  hone_trial_version: {
    type: 'gauge',
    labels: ['state'],
    help: 'Number of the version on trial, as canary or shadow; absent if there is none.',
  },
  hone_canary_rewards: {
    type: 'gauge',
    labels: ['arm'],
    help: 'Rewards that the canary has counted, of the live version and of the candidate.',
  },
  hone_canary_mean_reward: { type: 'gauge', labels: ['arm'], help: 'Mean of these rewards.' },
  hone_canary_log_evidence: {
    type: 'gauge',
    labels: ['of'],
    help: 'Natural logarithm of the evidence that the candidate is worse, or not worse by more than the margin.',
  },
  hone_canary_log_evidence_needed: { type: 'gauge', help: 'Value at which one of the two ends the canary.' },
  hone_swap_duration_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'From the order to swap to the first step that could use the new version, including the probe.',
  },
  hone_swap_wait_seconds: {
    type: 'histogram',
    buckets: [...toMinutes, 300],
    help: 'Part of it that was waiting for requests on the oldest version.',
  },
  hone_swap_stall_seconds: {
    type: 'histogram',
    buckets: fromHalfMillisecond,
    help: 'Pause that running streams saw between two steps because of a swap.',
  },
  hone_figures_age_seconds: {
    type: 'gauge',
    labels: ['of'],
    help: 'Age of the answers of the policy (serving) and of the store that the gauges show.',
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

/** The labels of a metric of the table: none, or all that it names. */
export type LabelsOf<Name extends keyof Table> = Table[Name] extends {
  readonly labels: readonly (infer Label extends string)[];
}
  ? [labels: Readonly<Record<Label, string>>]
  : [];
