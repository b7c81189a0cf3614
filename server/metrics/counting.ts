/** Turns reports of the agent and the policy into counters and histograms. */

import type { LoopEvent, LoopEventType, Meter } from '../../src/agent/index.js';
import type { LearnerProgress } from '../../src/learner/index.js';
import type { PolicyObserver } from '../../src/policy/index.js';
import type { Metrics } from './registry.js';
import { ScoreAges } from './score-ages.js';
import { knownLabels } from './table.js';

const secondsOf = (ms: number): number => ms / 1000;

/** Counts requests, tokens, feedback and learning. */
export function createMeter(metrics: Metrics): Meter {
  const ages = new ScoreAges((ms) => metrics.observe('hone_score_to_served_seconds', secondsOf(ms)));
  let rounds: number | undefined;
  function countStaleness(progress: LearnerProgress): void {
    // An earlier run of the server has counted the rounds of the first report.
    if (rounds !== undefined && progress.rounds > rounds) {
      for (const [staleness, count] of progress.roundStaleness.entries()) {
        for (let i = 0; i < count; i++) metrics.observe('hone_learner_staleness_versions', staleness);
      }
    }
    rounds = progress.rounds;
  }
  return {
    firstToken: (ms) => metrics.observe('hone_time_to_first_token_seconds', secondsOf(ms)),
    tokens: (count) => metrics.add('hone_generated_tokens_total', count),
    completionEnded({ reason, msPerToken }) {
      metrics.add('hone_completions_total', 1, { reason });
      if (msPerToken !== null) metrics.observe('hone_time_per_output_token_seconds', secondsOf(msPerToken));
    },
    requestEnded({ code, durationMs }) {
      metrics.add('hone_requests_total', 1, { code });
      const cancelled = code === 'CANCELLED' || code === 'DEADLINE_EXCEEDED';
      const outcome = code === 'OK' ? 'ok' : cancelled ? 'cancelled' : 'error';
      metrics.observe('hone_request_duration_seconds', secondsOf(durationMs), { outcome });
    },
    feedback(items, early) {
      for (const { kind, result } of items) {
        metrics.add('hone_feedback_total', 1, { kind, status: result.status });
        if (result.status === 'refused') metrics.add('hone_feedback_refused_total', 1, { code: result.error.code });
        else if (result.status !== 'duplicate') ages.acknowledged(result.sequence, performance.now());
      }
      metrics.add('hone_feedback_early_total', early);
    },
    late: (count) => metrics.add('hone_feedback_late_total', count),
    learner(event) {
      if (event.type === 'progress') {
        ages.progress(event.progress);
        countStaleness(event.progress);
      }
      if (event.type === 'candidate') ages.candidate(event.adapterDigest);
    },
    explored(outcome, { kept, tokens }) {
      metrics.add('hone_explorations_total', 1, { outcome });
      metrics.add('hone_explored_completions_total', kept);
      metrics.add('hone_explored_tokens_total', tokens);
    },
    judged({ checks }) {
      for (const { check, outcome } of checks) metrics.add('hone_gate_verdicts_total', 1, { check, outcome });
    },
    live: ({ adapterDigest }) => ages.live(adapterDigest, performance.now()),
  };
}

/** Counts prompts, turns and swaps. */
export function createPolicyObserver(metrics: Metrics): PolicyObserver {
  return {
    onStarted({ queuedMs, promptTokens, cachedPromptTokens }) {
      metrics.observe('hone_queue_wait_seconds', secondsOf(queuedMs));
      metrics.add('hone_prompt_tokens_total', promptTokens);
      metrics.add('hone_cached_prompt_tokens_total', cachedPromptTokens);
    },
    onTurn({ prefillMs, prefillTokens, decodeMs, decodedRows, groups, swapMs }) {
      if (prefillTokens > 0) {
        metrics.observe('hone_prefill_seconds', secondsOf(prefillMs));
        metrics.observe('hone_prefill_tokens', prefillTokens);
      }
      if (decodedRows > 0) {
        metrics.observe('hone_decode_seconds', secondsOf(decodeMs));
        metrics.observe('hone_decode_rows', decodedRows);
        metrics.observe('hone_decode_groups', groups);
        if (swapMs > 0) metrics.observe('hone_swap_stall_seconds', secondsOf(swapMs));
      }
    },
    onSwap({ durationMs, waitedMs }) {
      metrics.observe('hone_swap_duration_seconds', secondsOf(durationMs));
      metrics.observe('hone_swap_wait_seconds', secondsOf(waitedMs));
    },
  };
}

type Numbers = Readonly<Record<string, number>>;

const countVersion = (outcome: string) => (metrics: Metrics) => metrics.add('hone_versions_total', 1, { outcome });

/** What an event of the learning loop adds to the counters. */
const counters = {
  version_created: countVersion('created'),
  version_promoted: countVersion('promoted'),
  version_rejected: countVersion('rejected'),
  version_rolled_back: countVersion('rolled_back'),
  version_failed: countVersion('failed'),
  store_failed: (metrics) => metrics.add('hone_store_failures_total', 1),
  replay_evicted: countEvicted,
  subject_erased: (metrics, { generations = 0 }) => metrics.add('hone_replay_erased_total', generations),
} satisfies Partial<Record<LoopEventType, (metrics: Metrics, numbers: Numbers) => void>>;

type CountedType = keyof typeof counters;

/** The events that count. */
export const countedEvents = Object.keys(counters) as readonly CountedType[];

/** Counts events of the learning loop; the others count nothing. */
export function countEvents(metrics: Metrics, events: readonly LoopEvent[]): void {
  for (const { type, numbers = {} } of events) {
    if (Object.hasOwn(counters, type)) counters[type as CountedType](metrics, numbers);
  }
}

function countEvicted(metrics: Metrics, numbers: Numbers): void {
  for (const { reason } of knownLabels.hone_replay_evicted_total) {
    metrics.add('hone_replay_evicted_total', numbers[reason] ?? 0, { reason });
  }
}
