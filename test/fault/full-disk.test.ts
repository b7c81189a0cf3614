/** A disk that fills under a running server, on a small disk of its own and with a limit on the size of files. */

import { expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { askAndScore, eagerLearner, playUntil } from '../support/app.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { canMount, clearDisk, fillDisk, onSmallDisk, seenFrom, withFileLimit } from '../support/file-systems.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

/**
 * Scores until the store refuses, as it does once its log cannot grow, then one by one until no single score has room
 * either; gives back what was acknowledged.
 */
async function scoreUntilRefused(client: HoneClient, ids: readonly string[]): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>();
  let single = false;
  for (let i = 0; ; i++) {
    const rater = `rater ${i}`;
    try {
      const scored = single ? ids.slice(0, 1) : ids;
      const items = scored.map((generationId, k) => ({ generationId, score: i + k / 100, rater }));
      await client.feedback(items);
      for (const { generationId, score } of items) acknowledged.set(`${generationId} ${rater}`, score);
    } catch (error) {
      expect(error).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'STORE_FULL', retryAfterMs: 5000 });
      if (single) return acknowledged;
      single = true;
    }
  }
}

async function expectKept(client: HoneClient, ids: readonly string[], acknowledged: Map<string, number>) {
  const kept = new Map<string, number>();
  for (const id of ids) {
    const { scores, state } = await client.getGeneration(id);
    expect(state).toBe('finished');
    for (const { rater, value } of scores) kept.set(`${id} ${rater}`, value);
  }
  for (const [key, score] of acknowledged) expect(kept.get(key), key).toBe(score);
}

/** Collects what is told of the store's failures. */
function watchFailures(client: HoneClient): string[] {
  const details: string[] = [];
  const watch = async () => {
    for await (const { detail } of client.watchEvents({ types: ['store_failed'] })) details.push(detail);
  };
  // Ends with the server.
  watch().catch(() => undefined);
  return details;
}

it.skipIf(!canMount)(
  'a full disk refuses feedback, serves on, loses nothing acknowledged, and all goes on when there is room',
  async () => {
    const data = temporaryFolder();
    const args = [...eagerLearner, '--gate', 'off', ...(await endlessArgs())];
    await using server = await startServer({ data, args, within: onSmallDisk(data, 24 * 2 ** 20) });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    const disk = seenFrom(server.ready.pid, data);
    const failures = watchFailures(client);
    await playUntil(client, 1);
    const ids = await askAndScore(client, 'to be scored', 8);
    // What it writes and removes would make room now and then.
    await client.pauseLearner();

    // Begun while there is room; it waits to be read, and comes to its end when there is none.
    const running = client.stream(endlessRequest);
    const first = (await running.next()).value;
    const unended = first?.type === 'started' ? first.generationIds : [];
    fillDisk(disk);
    // Its log still has room within the file that it is: until scores have taken that, the request's completions would
    // find some.
    const acknowledged = await scoreUntilRefused(client, ids);
    const rest = (async () => {
      for await (const _ of running);
    })();
    await expect(rest).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'STORE_FULL' });
    const notKept: string[] = [];
    let told = 0;
    for (let i = 0; i < 5; i++) {
      const { completions, usage } = await client.generate({ prompt: `full ${i}`, n: 2, maxTokens: 8 });
      expect(usage.completionTokens).toBeGreaterThan(0);
      notKept.push(...completions.map(({ generationId }) => generationId));
      if (i === 0) told = failures.length;
    }
    await expectKept(client, ids, acknowledged);
    expect((await client.status()).replay.running).toBe(unended.length);
    // Told when writes began to be refused, and not again for each.
    expect(told).toBeGreaterThan(0);
    expect(failures).toEqual(new Array(told).fill(expect.stringContaining('STORE_FULL')));
    // A learner that cannot write its checkpoint harms nobody.
    await client.resumeLearner();
    await until(async () => (await client.learnerStatus()).state === 'crashed', 'the learner finds no room');
    await client.generate({ prompt: 'still full', maxTokens: 8 });

    clearDisk(disk);
    const after = await askAndScore(client, 'room again', 4);
    await until(async () => (await client.status()).replay.running === 0, 'what could not be ended is aborted');
    for (const id of unended) expect((await client.getGeneration(id)).state).toBe('aborted');
    for (const id of notKept)
      await expect(client.getGeneration(id)).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' });
    await expectKept(client, [...ids, ...after], acknowledged);
    const { live } = await client.status();
    await playUntil(client, live.number + 1);
  },
);

it('a limit on the size of files refuses feedback, serves on and loses nothing acknowledged', async () => {
  const data = temporaryFolder();
  await using limited = await startServer({ data, within: withFileLimit(2 * 2 ** 20) });
  const client = await limited.connect({ retry: { maxAttempts: 1 } });
  const { completions } = await client.generate({ prompt: 'to be scored', n: 8, maxTokens: 8 });
  const ids = completions.map(({ generationId }) => generationId);
  const acknowledged = await scoreUntilRefused(client, ids);
  expect(acknowledged.size).toBeGreaterThan(100);
  expect((await client.generate({ prompt: 'full', maxTokens: 8 })).completions[0]?.text).toBeTypeOf('string');
  await expectKept(client, ids, acknowledged);
  process.kill(limited.ready.pid, 'SIGKILL');
  await using unlimited = await startServer({ data });
  const again = await unlimited.connect();
  await expectKept(again, ids, acknowledged);
  await again.feedback(ids.map((generationId) => ({ generationId, score: 1 })));
});
