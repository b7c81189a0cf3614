/** How scores become a reward on the real server: windows, defaults, trust, and their explanation. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { edit, type HoneClient, prefer } from '../../client/index.js';
import { hone } from '../support/command.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { temporaryFolder } from '../support/folders.js';
import { Page } from '../support/prometheus.js';
import { runServer, startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
let client: HoneClient;
const folder = temporaryFolder();
const settingsPath = join(folder, 'rewards.json');
const hour = 3_600_000;

beforeAll(async () => {
  const settings = {
    metrics: {
      // The window closes before anybody can click on the whole answer.
      click: { windowMs: 0, default: 0, late: 'ignore' },
      survey: { min: 1, max: 5, weight: 3, windowMs: hour, default: 3 },
    },
    raters: { troll: { trust: 0 }, expert: { trust: 3 } },
  };
  writeFileSync(settingsPath, JSON.stringify(settings));
  server = await startServer({ args: ['--reward-settings', settingsPath, ...(await endlessArgs())] });
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

async function generateIds(n: number): Promise<readonly string[]> {
  const { completions } = await client.generate({ prompt: 'what am I worth', n, maxTokens: 2 });
  return completions.map(({ generationId }) => generationId);
}

describe('a reward', () => {
  it('waits for a metric with a default until a time that is explained, and is set when the metric has a score', async () => {
    const [generationId = ''] = await generateIds(1);
    await client.feedback({ generationId, score: 1, metric: 'thumbs' });
    const waiting = await client.explain(generationId);
    expect(waiting.reward).toBeUndefined();
    expect(waiting.pendingUntilMs).toBe((waiting.finishedAtMs ?? 0) + hour);
    expect(waiting.obstacles).toEqual(['pending', 'learner_off']);
    expect(waiting.metrics.map(({ metric, state, value }) => [metric, state, value])).toEqual([
      ['click', 'default', 0],
      ['survey', 'pending', undefined],
      ['thumbs', 'scored', 1],
    ]);
    await client.feedback({ generationId, score: 4, metric: 'survey' });
    const settled = await client.explain(generationId);
    // (3 * 0.75 + 1 + 0) / 5
    expect(settled.reward).toBeCloseTo(0.65, 12);
    expect(settled.obstacles).toEqual(['learner_off']);
  });

  it('weighs raters by their trust and ignores late scores, as the explanation states', async () => {
    const [generationId = ''] = await generateIds(1);
    await client.feedback([
      { generationId, score: 5, metric: 'survey', rater: 'expert' },
      { generationId, score: 1, metric: 'survey', rater: 'guest' },
      { generationId, score: 1, metric: 'survey', rater: 'troll' },
      { generationId, score: 1, metric: 'click' },
    ]);
    const { reward, metrics } = await client.explain(generationId);
    const scores = metrics.flatMap((metric) =>
      metric.scores.map(({ rater, trust, scaled, ignoredBecause }) => [rater, trust, scaled, ignoredBecause]),
    );
    expect(scores).toEqual([
      ['default', undefined, undefined, 'late'],
      ['expert', 3, 1, undefined],
      ['guest', 1, 0, undefined],
      ['troll', undefined, undefined, 'untrusted'],
    ]);
    expect(reward).toBeCloseTo((3 * 0.75 + 0) / 4, 12);
  });

  it('includes a score from before the end of the generation, even if the window is very short', async () => {
    let generationId = '';
    for await (const event of client.stream(endlessRequest)) {
      if (event.type !== 'started') continue;
      generationId = event.generationIds[3] ?? '';
      await client.feedback({ generationId, score: 1, metric: 'click' });
      const running = await client.explain(generationId);
      expect(running).toMatchObject({ state: 'running', obstacles: ['running', 'pending', 'learner_off'] });
    }
    const { metrics } = await client.explain(generationId);
    expect(metrics[0]).toMatchObject({ metric: 'click', state: 'scored', value: 1 });
  });

  it('of an edit does not wait for a window, because no user saw the edit', async () => {
    const [generationId = ''] = await generateIds(1);
    const [outcome] = await client.feedback(edit(generationId, 'Worth a lot.', 1));
    const id = outcome?.status === 'stored' ? (outcome.generationId ?? '') : '';
    expect(await client.explain(id)).toMatchObject({ reward: 1, origin: 'edit', editOf: generationId });
  });

  it('follows from the latest scores if scores are changed and retracted out of order', async () => {
    const [generationId = ''] = await generateIds(1);
    await client.feedback([
      { generationId, score: 1, metric: 'survey' },
      { generationId, score: 5, metric: 'survey' },
      { generationId, score: null, metric: 'thumbs' },
      { generationId, score: 1, metric: 'thumbs' },
      { generationId, score: 0, metric: 'thumbs', rater: 'ann' },
      { generationId, score: null, metric: 'thumbs', rater: 'ann' },
    ]);
    expect((await client.explain(generationId)).reward).toBeCloseTo((3 + 1 + 0) / 5, 12);
  });
});

describe('the metrics', () => {
  const page = async () => new Page(await (await fetch(server.ready.metrics ?? '')).text());

  it('count late scores', async () => {
    const late = async () => (await page()).get('hone_feedback_late_total') ?? Number.NaN;
    const before = await late();
    const ids = await generateIds(2);
    await client.feedback(ids.map((generationId) => ({ generationId, score: 1, metric: 'click' })));
    await client.feedback(ids.map((generationId) => ({ generationId, score: 1, metric: 'thumbs' })));
    await until(async () => (await late()) === before + 2, 'both late scores are counted');
  });

  it('count feedback by kind, including duplicates and refusals', async () => {
    const before = await page();
    const [a = '', b = ''] = await generateIds(2);
    const compared = { ...prefer(a, b), idempotencyKey: `count ${a}` };
    await client.feedback([
      compared,
      prefer(b, b),
      edit(a, 'Count me.', 1),
      edit(a, '', 1),
      { generationId: a, score: 1 },
    ]);
    await client.feedback(compared);
    const after = await page();
    const grown = (kind: string, status: string) =>
      (after.get('hone_feedback_total', { kind, status }) ?? 0) -
      (before.get('hone_feedback_total', { kind, status }) ?? 0);
    const kinds = ['score', 'preference', 'edit'].map((kind) =>
      ['stored', 'duplicate', 'refused'].map((status) => grown(kind, status)),
    );
    expect(kinds).toEqual([
      [1, 0, 0],
      [1, 1, 1],
      [1, 0, 1],
    ]);
  });
});

describe('the settings', () => {
  it('are in the status, as JSON and as text', async () => {
    const { reward } = await client.status();
    expect(reward).toMatchObject({
      metrics: {
        click: { min: 0, max: 1, weight: 1, windowMs: 0, defaultScore: 0, late: 'ignore' },
        survey: { min: 1, max: 5, weight: 3, windowMs: hour, defaultScore: 3, late: 'use' },
      },
      trust: { troll: 0, expert: 3 },
      defaultTrust: 1,
    });
    const { out } = await hone(server.ready.address, 'status');
    expect(out).toMatch(/^reward +click \(window 0 s, default 0, late scores ignored\); survey \(1 to 5, weight 3/m);
  });

  it('end the server at its start if they are wrong, with a list of all wrong settings', async () => {
    const path = join(folder, 'wrong.json');
    writeFileSync(path, JSON.stringify({ metrics: { click: { default: 0 }, stars: { min: 1 } } }));
    const { code, output } = await runServer({ args: ['--reward-settings', path] });
    expect(code).toBe(78);
    expect(output).toContain('reward.metrics.click.windowMs');
    expect(output).toContain('reward.metrics.stars.max');
    expect(output).toContain('INVALID_OPTIONS');
  });
});

describe('hone explain', () => {
  it('prints the explanation as text and as JSON', async () => {
    const [a = '', b = ''] = await generateIds(2);
    await client.feedback([
      { generationId: a, score: 5, metric: 'survey', rater: 'expert' },
      { generationId: a, score: 0, metric: 'thumbs', rater: 'troll' },
      prefer(a, b, { rater: 'ann' }),
      edit(a, 'Rather so.', 1),
    ]);
    const { code, out } = await hone(server.ready.address, 'explain', a);
    expect(code).toBe(0);
    expect(out).toContain(`generation  ${a}, sampled by version 0, finished`);
    expect(out).toMatch(/^metric +survey: 1, weight 3$/m);
    expect(out).toMatch(/^ +5 by expert, .*: 1, trust 3$/m);
    expect(out).toMatch(/^metric +click: 0 by default: no score came before /m);
    expect(out).toMatch(/^ +0 by troll, .*: ignored, the trust of the rater is 0$/m);
    expect(out).toMatch(/^reward +0\.75$/m);
    expect(out).toContain(`better than ${b} on score by ann, trust 1`);
    expect(out).toMatch(/^edit +[0-9a-f-]{36}, reward 1$/m);
    expect(out).toMatch(/^training +the learner does not train on it: the server runs without a learner$/m);
    expect(out).toMatch(/^learned by +no version$/m);
    const json = await hone(server.ready.address, 'explain', a, '--json');
    expect(JSON.parse(json.out)).toEqual(await client.explain(a));
  });

  it('prints how to score a generation without feedback, and reports an unknown generation', async () => {
    const other = await startServer();
    const quiet = await other.connect();
    const { completions } = await quiet.generate({ prompt: 'nobody looks', maxTokens: 2 });
    const run = await hone(other.ready.address, 'explain', completions[0]?.generationId ?? '');
    await other[Symbol.asyncDispose]();
    expect(run.out).toMatch(/^reward +none$/m);
    expect(run.err).toContain('npm run hone -- feedback');
    const missing = await hone(server.ready.address, 'explain', '01920000-0000-7000-8000-000000000000');
    expect(missing).toMatchObject({ code: 4 });
    expect(missing.err).toContain('no generation 01920000');
  });
});
