/**
 * Gauges, which are refreshed at each scrape.
 *
 * The parts that are asked may be busy: the inference worker answers between two steps and not at all during a restart,
 * and the store counts its rows before its next commit. So a scrape waits only a short time for the answers, each part
 * has one question at a time, and the store spends at most a hundredth of its time on counting. Until an answer arrives
 * the gauges keep their values; `hone_figures_age_seconds` shows their age.
 */

import { enumNames } from '../../proto/enum-names.js';
import type { Agent, LearnerStatus, RolloutStatus } from '../../src/agent/index.js';
import { modes } from '../../src/agent/rollout/modes.js';
import type { Policy, PolicyStatus } from '../../src/policy/index.js';
import type { ReplayStatus, ReplayStore } from '../../src/replay/index.js';
import type { Metrics } from './registry.js';

/** How long a scrape waits for answers. */
const maxWaitMs = 200;
/** The store spends at most one part in this many of its time on counting. */
const storeShare = 100;

export interface GaugeSources {
  readonly agent: Pick<Agent, 'identity' | 'learnerStatus' | 'getVersion' | 'rollout' | 'raters'>;
  readonly policy: Pick<Policy, 'status'>;
  readonly replay: Pick<ReplayStore, 'status'>;
  readonly threads: { readonly policy: number; readonly learner: number };
}

/** Sets the gauges. */
export class Gauges {
  readonly #metrics: Metrics;
  readonly #sources: GaugeSources;
  readonly #serving: Question<PolicyStatus>;
  readonly #store: Question<ReplayStatus>;
  #learnerRestarts = 0;

  constructor(metrics: Metrics, sources: GaugeSources) {
    this.#metrics = metrics;
    this.#sources = sources;
    this.#serving = new Question(() => sources.policy.status(), 0);
    this.#store = new Question(() => sources.replay.status(), storeShare);
    metrics.set('hone_threads', sources.threads.policy, { of: 'policy' });
    metrics.set('hone_threads', sources.threads.learner, { of: 'learner' });
  }

  /** Refreshes the gauges as far as answers arrive in time; never rejects. */
  async refresh(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, maxWaitMs);
    });
    await Promise.race([Promise.all([this.#serving.ask(), this.#store.ask()]), late]);
    clearTimeout(timer);
    const now = performance.now();
    if (this.#serving.answer !== undefined) this.#showServing(this.#serving.answer);
    if (this.#store.answer !== undefined) this.#showStore(this.#store.answer);
    this.#metrics.set('hone_replay_available', this.#store.isFailing ? 0 : 1);
    this.#metrics.set('hone_figures_age_seconds', this.#serving.ageSeconds(now), { of: 'serving' });
    this.#metrics.set('hone_figures_age_seconds', this.#store.ageSeconds(now), { of: 'store' });
    this.#showLearner(this.#sources.agent.learnerStatus());
    this.#showRollout(this.#sources.agent.rollout());
    this.#showRaters();
    const { version, adapterDigest, packageDigest } = this.#sources.agent.identity();
    this.#metrics.clear('hone_version_info');
    this.#metrics.set('hone_version_info', 1, {
      version: String(version),
      adapter_digest: adapterDigest,
      package_digest: packageDigest,
    });
    this.#metrics.set('hone_live_version', version);
  }

  #showRollout({ mode, trial, pace }: RolloutStatus): void {
    const metrics = this.#metrics;
    metrics.set('hone_starved', pace.starvedBecause === null ? 0 : 1, { of: 'gate' });
    metrics.set('hone_gate_model_share', pace.share);
    for (const one of modes) metrics.set('hone_mode', one === mode ? 1 : 0, { mode: one });
    for (const name of trialGauges) metrics.clear(name);
    metrics.set('hone_canary_log_evidence_needed', trial?.canary?.needed ?? null);
    if (trial === null) return;
    metrics.set('hone_trial_version', trial.version, { state: trial.state });
    if (trial.canary === null) return;
    const { live, candidate, worse, notWorse } = trial.canary;
    for (const [arm, { rewards, meanReward }] of Object.entries({ live, candidate })) {
      metrics.set('hone_canary_rewards', rewards, { arm });
      if (meanReward !== null) metrics.set('hone_canary_mean_reward', meanReward, { arm });
    }
    metrics.set('hone_canary_log_evidence', worse, { of: 'worse' });
    metrics.set('hone_canary_log_evidence', notWorse, { of: 'not_worse' });
  }

  #showServing(stats: PolicyStatus): void {
    const metrics = this.#metrics;
    metrics.set('hone_running_sequences', stats.runningSequences);
    metrics.set('hone_queued_requests', stats.queuedRequests);
    metrics.set('hone_queued_tokens', stats.queuedTokens);
    metrics.set('hone_parked_requests', stats.parkedRequests);
    metrics.set('hone_background_requests', stats.backgroundRequests);
    metrics.set('hone_kv_bytes', stats.kvBytesUsed);
    metrics.set('hone_kv_budget_bytes', stats.kvBytesBudget);
    metrics.set('hone_prefix_cache_bytes', stats.prefixCache.bytes);
    metrics.set('hone_prefix_cache_budget_bytes', stats.prefixCache.maxBytes);
    metrics.set('hone_held_versions', stats.heldVersions.length);
    metrics.clear('hone_version_mean_reward');
    for (const number of stats.heldVersions) {
      const { mean_reward: reward } = this.#sources.agent.getVersion(number).metrics;
      if (reward !== undefined) metrics.set('hone_version_mean_reward', reward, { version: String(number) });
    }
  }

  #showStore(status: ReplayStatus): void {
    const metrics = this.#metrics;
    const { generations, running, finished, aborted, oldestGenerationAtMs } = status;
    const cancelled = generations - running - finished - aborted;
    for (const [state, count] of Object.entries({ running, finished, cancelled, aborted })) {
      metrics.set('hone_replay_generations', count, { state });
    }
    metrics.set('hone_replay_scores', status.scores);
    metrics.set('hone_replay_scored_generations', status.scoredGenerations);
    metrics.set('hone_replay_bytes', status.fileBytes);
    metrics.set('hone_replay_used_bytes', status.usedBytes);
    metrics.set('hone_replay_log_bytes', status.logBytes);
    metrics.set('hone_replay_log_held', status.logHeldSinceMs === null ? 0 : 1);
    metrics.set('hone_replay_max_bytes', status.maxBytes);
    metrics.set(
      'hone_replay_oldest_age_seconds',
      oldestGenerationAtMs === null ? null : ageSeconds(oldestGenerationAtMs),
    );
  }

  #showRaters(): void {
    this.#metrics.clear('hone_rater_behind');
    try {
      for (const { rater, behind } of this.#sources.agent.raters()) {
        // Its name is `model:` or `function:` and a name of the user's.
        const [of = ''] = rater.split(':');
        this.#metrics.set('hone_rater_behind', behind, { of });
      }
    } catch {
      // The store cannot be read. Other parts report that, and the other gauges are still wanted.
    }
  }

  #showLearner(report: LearnerStatus): void {
    const metrics = this.#metrics;
    for (const state of enumNames.LearnerState.names)
      metrics.set('hone_learner_state', state === report.state ? 1 : 0, { state });
    metrics.add('hone_learner_restarts_total', report.restarts - this.#learnerRestarts);
    this.#learnerRestarts = report.restarts;
    metrics.set('hone_learner_steps', report.steps);
    metrics.set('hone_learner_dropped_steps', report.droppedSteps);
    metrics.set('hone_learner_rounds', report.rounds);
    metrics.set('hone_learner_setbacks', report.setbacks);
    for (const [cause, count] of Object.entries(report.setAside)) {
      metrics.set('hone_learner_set_aside', count, { cause });
    }
    metrics.set('hone_learner_memory_bytes', report.memoryBytes);
    metrics.set('hone_learner_scores_seen', report.scoresSeen);
    const { completions, pairs, pending, oldestAtMs, usesPerCompletion } = report.buffer;
    metrics.set('hone_learner_trainable_completions', completions);
    metrics.set('hone_learner_preference_pairs', pairs);
    metrics.set('hone_learner_pending_rewards', pending);
    metrics.set('hone_learner_oldest_age_seconds', oldestAtMs === null ? null : ageSeconds(oldestAtMs));
    metrics.set('hone_learner_uses_per_completion', usesPerCompletion);
    metrics.set('hone_learner_loss', report.loss);
    metrics.set('hone_learner_mean_reward', report.meanReward);
    metrics.set('hone_learner_kl_nats', report.kl);
    metrics.set('hone_learner_below_mean_h_nats', report.belowMeanH);
    metrics.set('hone_learner_gradient_norm', report.gradientNorm);
    metrics.set('hone_learner_step_seconds', report.stepMs === null ? null : report.stepMs / 1000);
    metrics.set('hone_starved', report.starvedBecause === null ? 0 : 1, { of: 'learner' });
    metrics.set('hone_learner_processor_share', report.processorShare ?? null);
  }
}

/** Gauges that exist only while a version is on trial. */
const trialGauges = [
  'hone_trial_version',
  'hone_canary_rewards',
  'hone_canary_mean_reward',
  'hone_canary_log_evidence',
] as const;

function ageSeconds(sinceMs: number): number {
  return Math.max(0, Date.now() - sinceMs) / 1000;
}

/** A question that is asked repeatedly, with its last answer. */
class Question<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #share: number;
  #asking: Promise<void> | undefined;
  #answeredAt = Number.NEGATIVE_INFINITY;
  #tookMs = 0;
  answer: Answer | undefined;
  /** Whether the last answer was an error. */
  isFailing = false;

  /** @param share the next question waits this many times the duration of the last answer */
  constructor(ask: () => Promise<Answer>, share: number) {
    this.#ask = ask;
    this.#share = share;
  }

  /** Resolves when the answer has arrived, or at once if the last one is recent enough; never rejects. */
  ask(): Promise<void> {
    if (performance.now() - this.#answeredAt < this.#share * this.#tookMs) return Promise.resolve();
    this.#asking ??= this.#askNow().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  ageSeconds(now: number): number | null {
    return this.answer === undefined ? null : Math.max(0, now - this.#answeredAt) / 1000;
  }

  async #askNow(): Promise<void> {
    const startedAt = performance.now();
    try {
      this.answer = await this.#ask();
      this.isFailing = false;
      this.#answeredAt = performance.now();
      this.#tookMs = this.#answeredAt - startedAt;
    } catch {
      // The next scrape asks again. Until then the age of the answer grows.
      this.isFailing = true;
    }
  }
}
