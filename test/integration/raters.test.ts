/** Reward models and functions that score for the real server, also after a kill. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { HoneClient, HoneEvent } from '../../client/index.js';
import { eagerLearner } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { projectFolder, runServer, startServer, tinyPackage } from '../support/server.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();

function writeModule(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

async function generate(client: HoneClient, prompt: string, n = 4): Promise<readonly string[]> {
  const { completions } = await client.generate({ prompt, n, maxTokens: 16 });
  return completions.map(({ generationId }) => generationId);
}

async function scoresOf(client: HoneClient, id: string): Promise<readonly unknown[]> {
  return (await client.getGeneration(id)).scores.map(({ rater, metric, value }) => ({ rater, metric, value }));
}

async function raterOf(client: HoneClient) {
  const [rater] = (await client.status()).raters;
  if (rater === undefined) throw new Error('there is no rater');
  return rater;
}

async function eventOf(client: HoneClient, wanted: HoneEvent['type']): Promise<HoneEvent> {
  for await (const event of client.watchEvents({ afterSequence: 0 })) if (event.type === wanted) return event;
  throw new Error('the events ended');
}

it('the learner makes versions from the scores of a reward function, without feedback of clients', async () => {
  const module = writeModule(
    'letters.mjs',
    `export default (items) => items.map(({ promptJson, text }) =>
      promptJson.includes('odd') ? NaN : (text.match(/[a-m]/gi)?.length ?? 0) / Math.max(1, text.length));`,
  );
  await using server = await startServer({ args: [...eagerLearner, '--reward-function', module] });
  const client = await server.connect();
  // The requests are just enough for a round, because on one core more of them would leave the learner no time.
  for (let i = 0; i < 8; i++) await generate(client, `prompt ${i}`);
  await until(async () => (await client.status()).live.number >= 1, 'a version comes of the function alone');
  expect((await client.version(1)).origin).toBe('learned');

  const [odd = ''] = await generate(client, 'odd', 1);
  const failed = await eventOf(client, 'rater_failed');
  expect(failed.detail).toMatch(/^function:letters: the reward function .*letters\.mjs answered NaN for /);
  // Alone it looks as if the function were at fault. It is the completion's fault once another one has a score.
  await generate(client, 'even', 1);
  await until(async () => (await raterOf(client)).setAside === 1, 'it is set aside');
  await until(async () => (await raterOf(client)).behind === 0, 'everything was looked at');
  expect(await scoresOf(client, odd)).toEqual([]);
  expect(await raterOf(client)).toMatchObject({ metric: 'score', state: 'running', restarts: 0, unscored: 0 });
});

it('a restarted server scores each generation that the killed one had not scored, once', async () => {
  const gate = join(folder, 'open');
  const module = writeModule(
    'waiting.mjs',
    `import { existsSync } from 'node:fs';
    export default async (prompt, completion) => {
      while (!existsSync(${JSON.stringify(gate)})) await new Promise((resolve) => setTimeout(resolve, 10));
      return 0.25;
    };`,
  );
  const data = temporaryFolder();
  const args = ['--reward-function', module];
  const first = await startServer({ data, args });
  const ids = await generate(await first.connect(), 'a');
  await first.kill();
  mkdirSync(gate);

  const second = await startServer({ data, args });
  const client = await second.connect();
  await until(async () => (await raterOf(client)).scored === 4, 'what was left is scored');
  for (const id of ids) {
    expect(await scoresOf(client, id)).toEqual([{ rater: 'function:waiting', metric: 'score', value: 0.25 }]);
  }
  await generate(client, 'b', 1);
  await until(async () => (await raterOf(client)).scored === 5, 'what is new is scored');
  await second.kill();

  await using third = await startServer({ data, args });
  const again = await third.connect();
  await until(async () => (await raterOf(again)).behind === 0, 'everything was looked at');
  expect(await raterOf(again)).toMatchObject({ scored: 0, unscored: 0 });
});

it('a reward model scores completions on the metric that the settings name', async () => {
  const settings = writeModule('rewards.json', '{"raters":{"model:tldr-reward":{"trust":2,"metric":"quality"}}}');
  const args = ['--reward-model', join(projectFolder, 'models/tldr-reward'), '--reward-settings', settings];
  await using server = await startServer({ args });
  const client = await server.connect();
  const [id = ''] = await generate(client, 'a', 1);
  await until(async () => (await raterOf(client)).scored === 1, 'it is scored');
  expect(await scoresOf(client, id)).toEqual([
    { rater: 'model:tldr-reward', metric: 'quality', value: expect.toSatisfy((value) => value > 0 && value < 1) },
  ]);
  const explained = await client.explain(id);
  expect(JSON.stringify(explained)).toContain('model:tldr-reward');
});

it('a server refuses to start with a folder that is not a reward model', async () => {
  const decoder = await runServer({ args: ['--reward-model', tinyPackage] });
  expect(decoder).toMatchObject({ code: expect.toSatisfy((code) => code !== 0) });
  expect(decoder.output).toContain('a reward model must be a ...ForSequenceClassification');
});
