/** The disk fills while the server runs, or is full when it starts: on a small disk, and with a limit on the size of files. */

import { expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { askAndScore, eagerLearner, playUntil } from '../support/app.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import {
  canMount,
  clearDisk,
  fillDisk,
  onFullDisk,
  onSmallDisk,
  seenFrom,
  withFileLimit,
} from '../support/file-systems.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer } from '../support/server.js';
import { until } from '../support/until.js';

/**
 * Sends scores until the store refuses them because its log cannot grow, then single scores until one of them is refused
 * too. Returns the acknowledged scores.
 */
async function scoreUntilRefused(client: HoneClient, ids: readonly string[]): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>();
  let single = false;
  for (let i = 0; ; i++) {
    const rater = `rater ${i}`;
    try {
      const scored = single ? ids.slice(0, 1) : ids;
      const items = scored.map((generationId, k) => ({ generationId, score: (100 * i + k) / 1e7, rater }));
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

/** Collects the details of the store's failure events. */
function watchFailures(client: HoneClient): string[] {
  const details: string[] = [];
  const watch = async () => {
    for await (const { detail } of client.watchEvents({ types: ['store_failed'] })) details.push(detail);
  };
  // The stream ends with the server.
  watch().catch(() => undefined);
  return details;
}

it.skipIf(!canMount)(
  'a server on a full disk refuses feedback, serves, loses nothing acknowledged, and continues when there is room',
  async () => {
    const data = temporaryFolder();
    const args = [...eagerLearner, '--gate', 'off', ...(await endlessArgs())];
    await using server = await startServer({ data, args, within: onSmallDisk(data, 24 * 2 ** 20) });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    const disk = seenFrom(server.ready.pid, data);
    const failures = watchFailures(client);
    await playUntil(client, 1);
    const ids = await askAndScore(client, 'to be scored', 8);
    // The learner writes and removes files, which would make room now and then.
    await client.pauseLearner();

    // This request begins while there is room, waits for its reader, and ends when there is no room.
    const running = client.stream(endlessRequest);
    const first = (await running.next()).value;
    const unended = first?.type === 'started' ? first.generationIds : [];
    fillDisk(disk);
    // The log still has room inside its file. Scores fill that first, because the completions of the request would
    // otherwise use it.
    const acknowledged = await scoreUntilRefused(client, ids);
    const rest = (async () => {
      for await (const _ of running);
    })();
    await expect(rest).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'STORE_FULL' });
    const notKept: string[] = [];
    let reported = 0;
    for (let i = 0; i < 5; i++) {
      const { completions, usage } = await client.generate({ prompt: `full ${i}`, n: 2, maxTokens: 8 });
      expect(usage.completionTokens).toBeGreaterThan(0);
      notKept.push(...completions.map(({ generationId }) => generationId));
      if (i === 0) reported = failures.length;
    }
    await expectKept(client, ids, acknowledged);
    expect((await client.status()).replay.running).toBe(unended.length);
    // The event comes when the store begins to refuse writes, and not again for each write.
    expect(reported).toBeGreaterThan(0);
    expect(failures).toEqual(new Array(reported).fill(expect.stringContaining('STORE_FULL')));
    // A learner that cannot write its checkpoint does not disturb serving.
    await client.resumeLearner();
    await until(
      async () => (await client.learnerStatus()).state === 'crashed',
      'the learner has crashed for lack of room',
    );
    await client.generate({ prompt: 'still full', maxTokens: 8 });

    clearDisk(disk);
    const after = await askAndScore(client, 'room again', 4);
    await until(
      async () => (await client.status()).replay.running === 0,
      'the generations whose end was not written are aborted',
    );
    for (const id of unended) expect((await client.getGeneration(id)).state).toBe('aborted');
    for (const id of notKept)
      await expect(client.getGeneration(id)).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' });
    await expectKept(client, [...ids, ...after], acknowledged);
    const { live } = await client.status();
    await playUntil(client, live.number + 1);
  },
);

it('a server at its limit on the size of files refuses feedback, serves, and loses nothing acknowledged', async () => {
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

it.skipIf(!canMount)('a server that starts on a full disk serves as one does whose disk has filled', async () => {
  const data = temporaryFolder();
  let acknowledged = '';
  {
    await using server = await startServer({ data });
    const client = await server.connect();
    const { completions } = await client.generate({ prompt: 'kept', maxTokens: 8 });
    acknowledged = completions[0]?.generationId ?? '';
    await client.feedback([{ generationId: acknowledged, score: 0.5 }]);
    await client.setMode('apprentice');
    expect(await server.stop()).toBe(0);
  }
  await using server = await startServer({ data, within: onFullDisk(data, 8 * 2 ** 20) });
  const client = await server.connect({ retry: { maxAttempts: 1 } });
  expect((await client.generate({ prompt: 'full', maxTokens: 8 })).completions).toHaveLength(1);
  expect((await client.status()).rollout.mode).toBe('apprentice');
  const scores = await scoreUntilRefused(client, [acknowledged]);
  await expectKept(client, [acknowledged], new Map([...scores, [`${acknowledged} default`, 0.5]]));
  clearDisk(seenFrom(server.ready.pid, data));
  await until(async () => {
    const [outcome] = await client.feedback([{ generationId: acknowledged, score: 1 }]).catch(() => []);
    return outcome?.status === 'replaced';
  }, 'scores are taken again');
});

it.skipIf(!canMount)('a new data directory on a full disk is refused because the disk is full', async () => {
  const data = temporaryFolder();
  const { code, output } = await runServer({ data, within: onFullDisk(data, 2 ** 20) });
  expect(code).toBe(1);
  expect(output).toMatch(/the disk is full|Free space on the disk/);
  expect(output).toContain('STORE_FULL');
  expect(output).not.toMatch(/writable|write to|worker/);
});
