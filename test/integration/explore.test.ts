/** Exploration on the real server: it draws further completions while the server is idle, and requests come first. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openReplayReader } from '../../src/replay/index.js';
import { temporaryFolder } from '../support/folders.js';
import { Page } from '../support/prometheus.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

const open = async (...args: readonly string[]) => {
  const data = temporaryFolder();
  const server = await startServer({ data, args: ['--metrics-port', '0', '--explore', '1', ...args] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const client = await server.connect();
  const exploration = async () => (await client.status()).exploration;
  const stored = () => {
    const reader = openReplayReader(join(data, 'replay.sqlite'));
    const ids = reader
      .readSince(0, 10_000)
      .flatMap((change) => ('generationId' in change ? [change.generationId] : []));
    const generations = reader.readGenerations([...new Set(ids)]);
    reader.close();
    return generations;
  };
  return { server, client, exploration, stored };
};

it('an idle server draws, stores and counts further completions of an answered prompt, and no caller gets them', async () => {
  const { server, client, exploration, stored } = await open('--explore-completions', '4');
  const request = { prompt: 'What a day', maxTokens: 12, ignoreEos: true, subject: 'ann' };
  const { completions } = await client.generate(request);
  expect(completions).toHaveLength(1);
  await until(async () => (await exploration()).kept === 4, 'four completions are kept');
  // A request for several completions needs no further ones.
  await client.generate({ ...request, n: 2 });
  await client.generate({ ...request, temperature: 0 });
  expect(await exploration()).toEqual({ share: 1, completions: 4, waiting: 0, kept: 4, gaveWay: 0 });
  const explored = stored().filter(({ origin }) => origin === 'explored');
  const answer = await client.getGeneration(completions[0]?.generationId ?? '');
  expect(explored).toHaveLength(4);
  for (const { promptJson, subject, state, tokens, sampledLogprobs, version } of explored) {
    expect({ promptJson, subject, state, version }).toEqual({
      promptJson: '{"prompt":"What a day"}',
      subject: 'ann',
      state: 'finished',
      version: 0,
    });
    expect([tokens.length, sampledLogprobs.length]).toEqual([12, 12]);
    expect([...tokens]).not.toEqual(answer.tokenIds);
  }
  expect(new Set(explored.map(({ text }) => text)).size).toBe(4);
  const page = new Page(await (await fetch(server.ready.metrics ?? '')).text());
  expect(page.get('hone_explored_completions_total')).toBe(4);
  expect(page.get('hone_explored_tokens_total')).toBe(4 * 12);
  expect(page.get('hone_explorations_total', { outcome: 'kept' })).toBe(1);
  expect(page.get('hone_requests_total', { code: 'OK' })).toBe(3);
  expect(page.get('hone_generated_tokens_total')).toBe(4 * 12);
});

it('requests come before exploration and are not slowed down, and the server stops cleanly during exploration', async () => {
  const { server, client, exploration, stored } = await open('--explore-completions', '64', '--max-sequences', '2');
  const ask = (seed: number) => client.generate({ prompt: 'busy', maxTokens: 100, ignoreEos: true, seed });
  const [first] = (await ask(5)).completions;
  let again = (await ask(5)).completions[0];
  await until(async () => {
    again = (await ask(5)).completions[0];
    return (await exploration()).gaveWay > 2;
  }, 'drawing gave way');
  expect(again?.tokenIds).toEqual(first?.tokenIds);
  expect(again?.tokenIds).toHaveLength(100);
  expect(await server.stop()).toBe(0);
  const generations = stored();
  expect(new Set(generations.map(({ state }) => state))).toEqual(new Set(['finished']));
  expect(generations.some(({ origin }) => origin === 'explored')).toBe(true);
  for (const { tokens } of generations) expect(tokens).toHaveLength(100);
});
