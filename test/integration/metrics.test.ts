/** The metrics of a real server under load: their format, and their values compared with those that the client counted. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { metricTable } from '../../server/metrics/table.js';
import { eagerLearner, judge, playUntil } from '../support/app.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { Page } from '../support/prometheus.js';
import { runServer, startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
let client: HoneClient;
let url: string;
const pages: Page[] = [];
/** The counts of the client. */
const seen = { requests: 0, completions: 0, tokens: 0, promptTokens: 0, cachedTokens: 0, refused: 0, cancelled: 0 };
const secret = 'platypus';

async function scrape(): Promise<Page> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const text = await response.text();
  expect(text).not.toContain(secret);
  const page = new Page(text);
  pages.push(page);
  return page;
}

/** Reads a stream to its end and counts its events. */
async function play(prompt: string, n: number, maxTokens: number): Promise<{ generationId: string; text: string }[]> {
  const texts = new Map<number, string>();
  let ids: readonly string[] = [];
  for await (const event of client.stream({ prompt, n, maxTokens, ignoreEos: true })) {
    if (event.type === 'started') ids = event.generationIds;
    if (event.type === 'chunk') {
      texts.set(event.index, (texts.get(event.index) ?? '') + event.text);
    }
    if (event.type === 'usage') {
      seen.requests += 1;
      seen.completions += n;
      seen.tokens += event.completionTokens;
      seen.promptTokens += event.promptTokens;
      seen.cachedTokens += event.cachedPromptTokens;
    }
  }
  return ids.map((generationId, completion) => ({ generationId, text: texts.get(completion) ?? '' }));
}

beforeAll(async () => {
  server = await startServer({ args: [...eagerLearner, ...(await endlessArgs())] });
  client = await server.connect();
  url = server.ready.metrics ?? '';
});
afterAll(() => server[Symbol.asyncDispose]());

describe('the page of metrics', () => {
  it('agrees with the counts of the client under load, and never decreases', async () => {
    await scrape();
    const streams = Array.from({ length: 6 }, (_, i) => play(`${secret} ${i % 4}`, 1 + (i % 3), 40 + i));
    let running = true;
    const load = Promise.all(streams).finally(() => {
      running = false;
    });
    while (running) await scrape();
    await load;
    await expect(client.generate({ prompt: secret, temperature: -1 })).rejects.toThrow();
    seen.refused += 1;
    const page = await scrape();
    expect(page.get('hone_requests_total', { code: 'OK' })).toBe(seen.requests);
    expect(page.get('hone_requests_total', { code: 'INVALID_REQUEST' })).toBe(seen.refused);
    expect(page.get('hone_completions_total', { reason: 'length' })).toBe(seen.completions);
    expect(page.get('hone_generated_tokens_total')).toBe(seen.tokens);
    expect(page.get('hone_prompt_tokens_total')).toBe(seen.promptTokens);
    expect(page.get('hone_cached_prompt_tokens_total')).toBe(seen.cachedTokens);
    expect(page.get('hone_time_to_first_token_seconds_count')).toBe(seen.requests);
    expect(page.get('hone_queue_wait_seconds_count')).toBe(seen.requests);
    // If a busy machine sends all tokens of a completion at once, there is no time between them.
    expect(page.get('hone_time_per_output_token_seconds_count')).toBeLessThanOrEqual(seen.completions);
    expect(page.get('hone_request_duration_seconds_count', { outcome: 'ok' })).toBe(seen.requests);
    expect(page.get('hone_prefill_tokens_sum')).toBe(seen.promptTokens - seen.cachedTokens);
    expect(page.get('hone_running_sequences')).toBe(0);
    // Each row of a step gives a token, except the first one of a completion, which comes from the prompt.
    expect(page.get('hone_decode_rows_sum')).toBe(seen.tokens - seen.completions);
  });

  it('counts a request that its caller cancels, once', async () => {
    const controller = new AbortController();
    const events = client.stream({ ...endlessRequest, n: 1 }, { signal: controller.signal });
    const reading = (async () => {
      for await (const { type } of events) if (type === 'chunk') controller.abort();
    })();
    await expect(reading).rejects.toThrow();
    await until(
      async () => (await scrape()).get('hone_requests_total', { code: 'CANCELLED' }) === 1,
      'the cancelled request was counted',
    );
    expect((await scrape()).get('hone_completions_total', { reason: 'cancelled' })).toBe(1);
  });

  it('counts the completions that an erasure removes', async () => {
    const before = (await scrape()).get('hone_replay_erased_total') ?? 0;
    await client.generate({ prompt: 'b', n: 2, maxTokens: 1, subject: 'a leaver' });
    await client.eraseSubject('a leaver');
    await until(
      async () => (await scrape()).get('hone_replay_erased_total') === before + 2,
      'the erased completions were counted',
    );
  });

  it('counts feedback, the steps of the learner and the swaps', async () => {
    const before = await scrape();
    const completions = await play('scored', 4, 12);
    const items = completions.map(({ generationId, text }) => ({ generationId, score: judge(text) }));
    await client.feedback(items);
    await client.feedback(items.slice(0, 2).map((item) => ({ ...item, score: 0.5 })));
    await client.feedback([{ generationId: completions[0]?.generationId ?? '', score: null }]);
    await expect(
      client.feedback([{ generationId: '0198c0de-0000-7000-8000-000000000000', score: 1 }]),
    ).rejects.toThrow();
    const after = await scrape();
    const grown = (status: string) =>
      (after.get('hone_feedback_total', { kind: 'score', status }) ?? 0) -
      (before.get('hone_feedback_total', { kind: 'score', status }) ?? 0);
    expect([grown('stored'), grown('replaced'), grown('retracted'), grown('refused')]).toEqual([4, 2, 1, 1]);
    expect(after.get('hone_feedback_refused_total', { code: 'GENERATION_NOT_FOUND' })).toBe(1);

    await playUntil(client, 2);
    await client.pauseLearner();
    await client.rollback(0);
    // The gate holds a version while it measures it.
    await until(async () => (await client.mode()).judging === undefined, 'the gate is done');
    const { live, serving, learner } = await client.status();
    const page = await scrape();
    expect(page.get('hone_live_version')).toBe(live.number);
    const labels = {
      version: String(live.number),
      adapter_digest: live.adapterDigest,
      package_digest: live.packageDigest,
    };
    expect(page.get('hone_version_info', labels)).toBe(1);
    expect(page.families.get('hone_version_info')?.samples).toHaveLength(1);
    expect(page.get('hone_versions_total', { outcome: 'rolled_back' })).toBe(1);
    expect(page.get('hone_versions_total', { outcome: 'promoted' })).toBeGreaterThanOrEqual(2);
    const swaps = 1 + (page.get('hone_versions_total', { outcome: 'promoted' }) ?? 0);
    expect(page.get('hone_swap_duration_seconds_count')).toBe(swaps);
    expect(page.get('hone_swap_wait_seconds_count')).toBe(swaps);
    expect(page.get('hone_held_versions')).toBe(serving.heldVersions.length);
    expect(page.get('hone_learner_state', { state: 'paused' })).toBe(1);
    expect(page.get('hone_learner_steps')).toBe(learner.steps);
    expect(page.get('hone_learner_mean_reward')).toBeCloseTo(learner.meanReward ?? Number.NaN);
    expect(page.get('hone_score_to_served_seconds_count')).toBeGreaterThanOrEqual(16);
    expect(page.get('hone_score_to_served_seconds_sum')).toBeGreaterThan(0);
  });

  it('follows the format strictly, and has exactly the metrics of the table and of the process', () => {
    for (const page of pages) {
      const names = [...page.families.keys()];
      const own = names.filter((name) => name.startsWith('hone_'));
      expect(own.sort()).toEqual(Object.keys(metricTable).sort());
      expect(names.filter((name) => !/^(hone|process|nodejs)_/.test(name))).toEqual([]);
    }
  });

  it('has counters that never decrease, and histograms that add up', () => {
    let last: ReadonlyMap<string, number> = new Map();
    expect(pages.length).toBeGreaterThan(5);
    for (const page of pages) {
      const now = page.monotonic();
      for (const [key, value] of last) expect(now.get(key), key).toBeGreaterThanOrEqual(value);
      for (const [key, value] of now) expect(value, key).toBeGreaterThanOrEqual(0);
      last = now;
      for (const { name, bounds, counts, count, sum } of page.histograms()) {
        expect(bounds.at(-1), name).toBe(Number.POSITIVE_INFINITY);
        expect(bounds, name).toEqual([...bounds].sort((a, b) => a - b));
        expect(counts, name).toEqual([...counts].sort((a, b) => a - b));
        expect(counts.at(-1), name).toBe(count);
        if (count === 0) expect(sum, name).toBe(0);
      }
    }
  });

  it('has few samples, even after many kinds of requests', () => {
    const [first, last] = [pages[0], pages.at(-1)].map(
      (page) => [...(page?.families.values() ?? [])].flatMap(({ samples }) => samples).length,
    );
    expect(first).toBeGreaterThan(100);
    expect(last).toBeLessThan(800);
  });

  it('is the only page of its listener', async () => {
    expect((await fetch(url.replace('/metrics', '/'))).status).toBe(404);
    expect((await fetch(`${url}/more`)).status).toBe(404);
    const post = await fetch(url, { method: 'POST', body: 'x' });
    expect(post.status).toBe(405);
    expect(post.headers.get('allow')).toBe('GET, HEAD');
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });
});

describe('the address of the metrics', () => {
  it('is written into the data directory for tools on this machine', () => {
    const record = JSON.parse(readFileSync(join(server.ready.data, 'server.json'), 'utf8')) as { metrics: string };
    expect(record.metrics).toBe(url);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  });

  it('is an error if the user chose its port and the port is taken', async () => {
    const port = new URL(url).port;
    const { code, output } = await runServer({ args: ['--metrics-port', port] });
    expect(code).toBe(78);
    expect(output).toContain(`metrics cannot be served at 127.0.0.1:${port}`);
  });

  it('does not exist with --no-metrics', async () => {
    await using silent = await startServer({ args: ['--no-metrics'] });
    expect(silent.ready.metrics).toBeNull();
  });
});
