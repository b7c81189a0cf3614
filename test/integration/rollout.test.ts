/** How a version comes to serve on the real server, with scores that depend on its answers. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { HoneClient, HoneEvent, HoneEventType } from '../../client/index.js';
import { temporaryFolder } from '../support/folders.js';
import { plantCandidate } from '../support/planted.js';
import { Page } from '../support/prometheus.js';
import { RawClient } from '../support/raw-client.js';
import { type StartOptions, startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

const canary = ['--mode', 'canary', '--canary-share', '0.5', '--canary-settings', '{"margin":0.2,"minimum":10}'];

/** Size of an adapter that ruins every answer. */
const bad = 4;
/** Size of an adapter that changes almost nothing. */
const harmless = 1e-3;

async function open(options: StartOptions): Promise<{ server: TestServer; client: HoneClient }> {
  const server = await startServer(options);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, client: await server.connect() };
}

const sampling = { maxTokens: 12, ignoreEos: true, logprobs: true, temperature: 0.2 };

/** The tokens that the app likes: those of version 0's answers to some other prompts. */
async function likes(client: HoneClient): Promise<Set<number>> {
  const prompts = Array.from({ length: 16 }, (_, n) => `before ${n}`);
  const answers = await Promise.all(
    prompts.map((prompt, seed) => client.generate({ prompt, seed, version: 0, ...sampling })),
  );
  return new Set(answers.flatMap(({ completions }) => completions[0]?.tokenIds ?? []));
}

/**
 * Sends a request with its own subject, and scores the answer by its share of liked tokens. Side, answer and score are
 * the same in each run of the tests.
 */
async function askAndScore(client: HoneClient, liked: ReadonlySet<number>, n: number): Promise<number> {
  const { completions, version } = await client.generate({
    prompt: `prompt ${n}`,
    subject: `subject ${n}`,
    seed: n,
    ...sampling,
  });
  const { generationId = '', tokenIds = [] } = completions[0] ?? {};
  const score = tokenIds.filter((token) => liked.has(token)).length / Math.max(1, tokenIds.length);
  await client.feedback({ generationId, score });
  return version;
}

/** Sends requests and scores until the canary has ended. */
async function playUntilTheEnd(client: HoneClient, liked: ReadonlySet<number>, from = 0): Promise<HoneEvent> {
  for (let n = from; n < from + 2000 && (await client.mode()).trial !== undefined; n++) {
    await askAndScore(client, liked, n);
  }
  const ended = await eventOf(client, 'canary_ended');
  // The end of its version is recorded and reported after the trial has ended.
  await eventOf(client, ended.detail.startsWith('promoted') ? 'version_promoted' : 'version_rejected', ended.version);
  return ended;
}

/** Returns the first event of a type, and of a version if one is given. */
async function eventOf(client: HoneClient, type: HoneEventType, version?: number): Promise<HoneEvent> {
  for await (const event of client.watchEvents({ afterSequence: 0, types: [type] })) {
    if (version === undefined || event.version === version) return event;
  }
  throw new Error('the events ended');
}

const onTrial = (client: HoneClient) => until(async () => (await client.mode()).trial !== undefined, 'it is on trial');

describe('a canary', () => {
  it('rolls back a bad candidate because of the scores of its answers', async () => {
    const data = temporaryFolder();
    await plantCandidate(data, bad);
    const { server, client } = await open({ data, args: canary });
    await onTrial(client);
    const { rollout } = await client.status();
    expect(rollout).toMatchObject({ mode: 'canary', trial: { version: 1, share: 0.5, canary: { margin: 0.2 } } });
    const { state, verdict } = await client.version(1);
    expect(state).toBe('canary');
    // The gate had no traffic to measure it on.
    expect(verdict.map(({ check, outcome }) => `${check} ${outcome}`)).toEqual([
      'finite passed',
      'kl skipped',
      'health skipped',
      'reward_model skipped',
      'off_policy skipped',
    ]);
    const ended = await playUntilTheEnd(client, await likes(client));
    expect(ended).toMatchObject({ version: 1, detail: expect.stringMatching(/^rolled back: .*worse/) });
    expect(ended.numbers.candidate_mean_reward).toBeLessThan(ended.numbers.live_mean_reward ?? 0);
    expect(await client.version(1)).toMatchObject({
      state: 'rejected',
      rejectedBecause: expect.stringMatching(/worse/),
    });
    expect((await client.status()).live.number).toBe(0);
    expect((await client.generate({ prompt: 'a', maxTokens: 1 })).version).toBe(0);
    const page = new Page(await (await fetch(server.ready.metrics ?? '')).text());
    expect(page.get('hone_versions_total', { outcome: 'rejected' })).toBe(1);
    expect(page.get('hone_mode', { mode: 'canary' })).toBe(1);
    expect(page.get('hone_trial_version', { state: 'canary' })).toBeUndefined();
  });

  it('promotes a harmless candidate even after a kill of the server, and keeps each subject on its side', async () => {
    const data = temporaryFolder();
    await plantCandidate(data, harmless);
    const first = await open({ data, args: canary });
    await onTrial(first.client);
    const liked = await likes(first.client);
    const sides = await Promise.all(Array.from({ length: 12 }, (_, n) => askAndScore(first.client, liked, n)));
    expect(new Set(sides)).toEqual(new Set([0, 1]));
    const counted = () => {
      const { live, candidate } = JSON.parse(readFileSync(join(data, 'trial.json'), 'utf8')).state;
      return live.count + candidate.count;
    };
    await until(() => {
      try {
        return counted() === 12;
      } catch {
        return false;
      }
    }, 'the rewards are saved');
    await first.server.kill();

    // The server remembers the mode; the settings are flags.
    const { client } = await open({ data, args: canary.slice(2) });
    await onTrial(client);
    const { trial } = await client.mode();
    expect((trial?.canary?.live.rewards ?? 0) + (trial?.canary?.candidate.rewards ?? 0)).toBe(12);
    for (const [n, version] of sides.entries()) {
      expect((await client.generate({ prompt: 'a', subject: `subject ${n}`, maxTokens: 1 })).version, `${n}`).toBe(
        version,
      );
    }
    expect((await client.generate({ prompt: 'a', version: 0, subject: 'subject 0', maxTokens: 1 })).version).toBe(0);
    const ended = await playUntilTheEnd(client, liked, 100);
    expect(ended).toMatchObject({ version: 1, detail: expect.stringMatching(/^promoted: /) });
    await until(async () => (await client.status()).live.number === 1, 'it is live');
    expect(await eventOf(client, 'version_promoted')).toMatchObject({ version: 1, detail: ended.detail.slice(10) });
  });
});

describe('the mode', () => {
  it('can change at run time: a shadow answers in the background, the user decides, and a restart remembers the mode', async () => {
    const data = temporaryFolder();
    await plantCandidate(data, harmless);
    const { server, client } = await open({ data, args: ['--mode', 'apprentice', '--canary-share', '0.999'] });
    await until(async () => (await client.version(1)).verdict.length > 0, 'it is judged');
    expect(await client.mode()).toEqual({ mode: 'apprentice' });
    expect((await client.version(1)).state).toBe('candidate');
    await expect(client.promote(0)).rejects.toMatchObject({
      code: 'VERSION_NOT_SERVABLE',
      status: 'FAILED_PRECONDITION',
    });
    await expect(client.promote(7)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
    await expect(client.reject(1, 'x'.repeat(513))).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    expect((await client.promote(1)).state).toBe('live');
    await expect(client.reject(1)).rejects.toMatchObject({ code: 'VERSION_NOT_SERVABLE' });
    expect(await client.setMode('shadow')).toEqual({ mode: 'shadow' });
    expect(await eventOf(client, 'mode_changed')).toMatchObject({ detail: 'shadow' });
    const raw = new RawClient(server.ready.address);
    expect((await raw.call('AdminService', 'SetMode', {})).status).toMatchObject({
      code: 3,
      details: expect.stringContaining('mode'),
    });
    raw.close();
    expect(await server.stop()).toBe(0);
    const again = await open({ data });
    expect(await again.client.mode()).toEqual({ mode: 'shadow' });
  });

  it('"shadow" lets a candidate answer the requests that the live version answers, and no caller sees it', async () => {
    const data = temporaryFolder();
    await plantCandidate(data, bad);
    const { client } = await open({ data, args: ['--mode', 'shadow', '--canary-share', '0.999'] });
    await onTrial(client);
    const before = (await client.status()).replay.generations;
    expect((await client.generate({ prompt: 'a', maxTokens: 4 })).version).toBe(0);
    await until(async () => (await client.status()).replay.generations >= before + 2, 'the shadow has answered');
    expect((await client.mode()).trial).toMatchObject({ version: 1, answers: 1 });
    expect(await client.reject(1, 'it rambles')).toMatchObject({ state: 'rejected', rejectedBecause: 'it rambles' });
    expect((await client.mode()).trial).toBeUndefined();
    expect(await eventOf(client, 'shadow_ended')).toMatchObject({ version: 1, detail: 'rolled back: it rambles' });
  });
});
