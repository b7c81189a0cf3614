/** The metrics page, also if the parts that it asks are busy or fail. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import pino from 'pino';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createServerMetrics, type MetricsListener, type MetricsSources } from '../../../server/metrics/index.js';
import type { MetricsOptions } from '../../../server/options.js';
import type { RolloutStatus } from '../../../src/agent/index.js';
import { nothingLearned } from '../../../src/learner/process/status.js';
import type { PolicyStatus } from '../../../src/policy/index.js';
import { Page } from '../../support/prometheus.js';

const stats: PolicyStatus = {
  liveVersion: 3,
  adapterDigest: 'a',
  runningSequences: 5,
  queuedRequests: 2,
  queuedTokens: 7,
  parkedRequests: 1,
  backgroundRequests: 0,
  backgroundRuns: { own: 0, others: 0, lost: 0 },
  kvBytesUsed: 10,
  kvBytesBudget: 20,
  prefixCache: { hitTokens: 0, lookedUpTokens: 0, bytes: 30, maxBytes: 40, evictedBlocks: 0 },
  generatedTokens: 0,
  promptTokens: 0,
  steps: 0,
  heldVersions: [0, 3],
};

const stored = {
  generations: 10,
  finished: 6,
  running: 1,
  aborted: 1,
  scores: 4,
  scoredGenerations: 3,
  preferences: 0,
  edits: 0,
  lastSequence: 9,
  oldestGenerationAtMs: null,
  fileBytes: 4096,
  maxBytes: null,
  maxAgeMs: null,
  usedBytes: 4096,
  logBytes: 1024,
  logHeldSinceMs: 7,
  refusal: null,
};

const loopback: MetricsOptions = { host: '127.0.0.1', port: 0, required: true, authToken: undefined };
let listener: MetricsListener | null = null;
afterEach(() => listener?.close());

const rollout: RolloutStatus = {
  mode: 'canary',
  trial: {
    version: 4,
    state: 'canary',
    startedAtMs: 0,
    share: 0.1,
    answers: 12,
    canary: {
      live: { rewards: 90, meanReward: 0.5 },
      candidate: { rewards: 0, meanReward: null },
      worse: 0.25,
      notWorse: -1,
      needed: 3,
      margin: 0.05,
      minimum: 50,
      endsAtMs: 1,
    },
  },
  pace: { share: 0.1, starvedBecause: 'the gate gets 10 %' },
  judging: null,
  waiting: null,
};

/** Parts with the answers of the test. */
function sources(
  ask: { policy?: () => Promise<PolicyStatus>; replay?: () => Promise<typeof stored> } = {},
): MetricsSources {
  return {
    agent: {
      identity: () => ({ version: 3, adapterDigest: 'a', packageDigest: 'p' }),
      learnerStatus: () => ({
        ...nothingLearned,
        state: 'idle',
        restarts: 0,
        engine: '',
        starvedBecause: null,
        memoryBytes: 5e8,
        failure: null,
        setAside: { unfit: 3, too_large: 0, broke: 1 },
      }),
      rollout: () => rollout,
      raters: () => [{ rater: 'function:letters', behind: 12 }],
      getVersion: (number: number) => ({ metrics: number === 0 ? {} : { mean_reward: 0.5 } }),
      watchEvents: () => (async function* () {})(),
    } as unknown as MetricsSources['agent'],
    policy: { status: ask.policy ?? (async () => stats) },
    replay: { status: ask.replay ?? (async () => stored) },
    threads: { policy: 2, learner: 1 },
    log: pino({ level: 'silent' }),
  };
}

async function open(options: MetricsOptions, parts: MetricsSources): Promise<string> {
  listener = await createServerMetrics(options).open(parts);
  return listener?.url ?? '';
}

const read = async (url: string) => new Page(await (await fetch(url)).text());

describe('the metrics page', () => {
  it('has the values that were counted before its library was loaded, in order', async () => {
    const metrics = createServerMetrics(loopback);
    for (const queuedMs of [1, 2, 3]) {
      metrics.observer.onStarted?.({ queuedMs, promptTokens: 5, cachedPromptTokens: 2 });
    }
    metrics.workerRestarted();
    await metrics.load();
    metrics.workerRestarted();
    listener = await metrics.open(sources());
    const page = await read(listener?.url ?? '');
    expect(page.get('hone_queue_wait_seconds_count')).toBe(3);
    expect(page.get('hone_prompt_tokens_total')).toBe(15);
    expect(page.get('hone_inference_worker_restarts_total')).toBe(2);
    expect(page.get('hone_running_sequences')).toBe(5);
  });

  it('shows the answers of the parts', async () => {
    const page = await read(await open(loopback, sources()));
    const figures = {
      hone_running_sequences: 5,
      hone_queued_requests: 2,
      hone_queued_tokens: 7,
      hone_parked_requests: 1,
      hone_kv_bytes: 10,
      hone_kv_budget_bytes: 20,
      hone_prefix_cache_bytes: 30,
      hone_prefix_cache_budget_bytes: 40,
      hone_held_versions: 2,
      hone_gate_model_share: 0.1,
      hone_replay_scores: 4,
      hone_replay_bytes: 4096,
      hone_replay_log_bytes: 1024,
      hone_replay_log_held: 1,
      hone_replay_available: 1,
    };
    for (const [name, value] of Object.entries(figures)) expect(page.get(name), name).toBe(value);
    expect(page.get('hone_replay_generations', { state: 'cancelled' })).toBe(2);
    expect(page.get('hone_rater_behind', { of: 'function' })).toBe(12);
    expect(page.get('hone_learner_set_aside', { cause: 'unfit' })).toBe(3);
    expect(page.get('hone_learner_set_aside', { cause: 'too_large' })).toBe(0);
    expect(page.get('hone_learner_memory_bytes')).toBe(5e8);
    expect(page.get('hone_starved', { of: 'gate' })).toBe(1);
    expect(page.get('hone_starved', { of: 'learner' })).toBe(0);
    expect(page.get('hone_replay_oldest_age_seconds')).toBeUndefined();
    expect(page.get('hone_learner_loss')).toBeUndefined();
    expect(page.get('hone_version_mean_reward', { version: '3' })).toBe(0.5);
    expect(page.get('hone_version_mean_reward', { version: '0' })).toBeUndefined();
    expect(page.get('hone_threads', { of: 'policy' })).toBe(2);
    expect(page.get('hone_mode', { mode: 'canary' })).toBe(1);
    expect(page.get('hone_mode', { mode: 'auto' })).toBe(0);
    expect(page.get('hone_trial_version', { state: 'canary' })).toBe(4);
    expect(page.get('hone_canary_rewards', { arm: 'live' })).toBe(90);
    expect(page.get('hone_canary_mean_reward', { arm: 'candidate' })).toBeUndefined();
    expect(page.get('hone_canary_log_evidence', { of: 'worse' })).toBe(0.25);
    expect(page.get('hone_canary_log_evidence_needed')).toBe(3);
    expect(page.get('hone_gate_verdicts_total', { check: 'kl', outcome: 'failed' })).toBe(0);
  });

  it('answers even if the inference worker does not, with the earlier values and their age', async () => {
    let asked = 0;
    const policy = () => (asked++ === 0 ? Promise.resolve(stats) : new Promise<PolicyStatus>(() => undefined));
    const url = await open(loopback, sources({ policy }));
    await read(url);
    const page = await read(url);
    expect(page.get('hone_running_sequences')).toBe(5);
    expect(page.get('hone_figures_age_seconds', { of: 'serving' })).toBeGreaterThan(0.1);
    await read(url);
    // There is one open question, however often the page is requested.
    expect(asked).toBe(2);
  });

  it('answers even if the parts fail', async () => {
    const fail = () => Promise.reject(new Error('gone'));
    const page = await read(await open(loopback, sources({ policy: fail, replay: fail })));
    expect(page.get('hone_live_version')).toBe(3);
    expect(page.get('hone_figures_age_seconds', { of: 'store' })).toBeUndefined();
    expect(page.get('hone_replay_available')).toBe(0);
  });

  it('seldom asks a store that counts slowly', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    let asked = 0;
    const replay = async () => {
      asked += 1;
      vi.advanceTimersByTime(20);
      return stored;
    };
    const url = await open(loopback, sources({ replay }));
    for (let i = 0; i < 5; i++) await read(url);
    expect(asked).toBe(1);
    // The next question comes after a hundred times the duration of the answer.
    vi.advanceTimersByTime(1999);
    await read(url);
    expect(asked).toBe(1);
    vi.advanceTimersByTime(1);
    await read(url);
    expect(asked).toBe(2);
  });
});

describe('the metrics listener', () => {
  it('requires the token if there is one', async () => {
    const url = await open({ ...loopback, authToken: 'long-enough' }, sources());
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers: { authorization: 'Bearer long-enougH' } })).status).toBe(401);
    expect((await fetch(url, { headers: { authorization: 'Bearer long-enough' } })).status).toBe(200);
  });

  it('opens no page if another program uses the default port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const taken = { ...loopback, port };
    expect(await createServerMetrics({ ...taken, required: false }).open(sources())).toBeNull();
    await expect(createServerMetrics(taken).open(sources())).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
    other.close();
  });

  it('answers open requests before it closes, although connections are kept alive', async () => {
    let answer = (_: PolicyStatus): void => undefined;
    let asked = (): void => undefined;
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const policy = () => {
      asked();
      return new Promise<PolicyStatus>((resolve) => {
        answer = resolve;
      });
    };
    const url = await open(loopback, sources({ policy }));
    const response = fetch(url);
    await isAsked;
    const closed = listener?.close();
    answer(stats);
    const { status, headers } = await response;
    expect(status).toBe(200);
    // A connection that stays open would delay the end by seconds.
    expect(headers.get('connection')).toBe('close');
    await closed;
    await expect(fetch(url)).rejects.toThrow();
  });
});
