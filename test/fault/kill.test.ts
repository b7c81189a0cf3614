/** kill -9 of the server, of the learner, and of both, amid the loop. */

import { describe, expect, it } from 'vitest';
import type { FeedbackItem, HoneClient } from '../../client/index.js';
import { askAndScore, childrenOf, eagerLearner, playUntil } from '../support/app.js';
import { isAlive, startServer, temporaryFolder, until } from '../support/server.js';

/** Sends scores as fast as they are acknowledged, and remembers what was. */
async function sendScores(
  client: HoneClient,
  ids: readonly string[],
  acknowledged: Map<string, number>,
): Promise<void> {
  const stream = client.feedbackStream({ maxUnanswered: 64 });
  for (let i = 0; ; i++) {
    const generationId = ids[i % ids.length] ?? '';
    const item = { generationId, score: i, rater: `rater-${i}` } satisfies FeedbackItem;
    await stream.ready();
    stream.send(item).then(
      () => acknowledged.set(`${generationId} ${item.rater}`, item.score),
      () => undefined,
    );
  }
}

/** Keeps completions running, and remembers those that got their final message and those that only began. */
async function generate(client: HoneClient, begun: Set<string>, ended: Set<string>): Promise<void> {
  for (;;) {
    let ids: readonly string[] = [];
    for await (const event of client.stream({ prompt: 'long', n: 8, maxTokens: 120, ignoreEos: true })) {
      if (event.type === 'started') {
        ids = event.generationIds;
        for (const id of ids) begun.add(id);
      }
      if (event.type === 'usage') for (const id of ids) ended.add(id);
    }
  }
}

/** Runs until the server is gone. */
function untilCut(work: Promise<void>): Promise<unknown> {
  return work.catch((error: unknown) => error);
}

async function expectKept(client: HoneClient, acknowledged: Map<string, number>): Promise<void> {
  const ids = new Set([...acknowledged.keys()].map((key) => key.slice(0, 36)));
  const kept = new Map<string, number>();
  for (const id of ids) {
    for (const { rater, value } of (await client.getGeneration(id)).scores) kept.set(`${id} ${rater}`, value);
  }
  for (const [key, score] of acknowledged) expect(kept.get(key), key).toBe(score);
}

describe('kill -9 of the server', () => {
  it('loses nothing acknowledged, leaves no orphan, and serves the last live version again', async () => {
    const data = temporaryFolder();
    await using first = await startServer({ data, args: eagerLearner });
    const client = await first.connect({ retry: { maxAttempts: 1 } });
    const { number } = await playUntil(client, 2);
    const children = childrenOf(first.ready.pid);
    expect(children).toHaveLength(1);
    const scored = await askAndScore(client, 'to be scored', 8);

    const acknowledged = new Map<string, number>();
    const begun = new Set<string>();
    const ended = new Set<string>();
    const work = [
      untilCut(sendScores(client, scored, acknowledged)),
      untilCut(generate(client, begun, ended)),
      untilCut(generate(client, begun, ended)),
    ];
    await until(() => acknowledged.size >= 500 && ended.size >= 16, 'scores and completions are under way');
    // Long enough to be running still when the signal arrives.
    const running = client.stream({ prompt: 'still running', n: 64, maxTokens: 100, ignoreEos: true });
    expect(await running.next()).toMatchObject({ value: { type: 'started' } });
    await first.kill();
    await untilCut(running.next().then(() => undefined));
    await Promise.all(work);
    await until(() => children.every((pid) => !isAlive(pid)), 'the learner is gone, too', 5000);

    await using second = await startServer({ data, args: eagerLearner });
    const again = await second.connect();
    await expectKept(again, acknowledged);
    const { live, replay } = await again.status();
    expect(live.number).toBeGreaterThanOrEqual(number);
    expect(second.ready.version).toBeGreaterThanOrEqual(number);
    expect(live.adapterDigest).toBe((await again.version(live.number)).adapterDigest);
    expect(replay.running).toBe(0);
    for (const id of ended) expect((await again.getGeneration(id)).state).toBe('finished');
    for (const id of begun) expect(['finished', 'aborted']).toContain((await again.getGeneration(id)).state);
    expect(replay.aborted).toBeGreaterThan(0);
    await playUntil(again, live.number + 1);
  });

  it('numbers its events on', async () => {
    const data = temporaryFolder();
    await using first = await startServer({ data });
    await first.kill();
    await using second = await startServer({ data });
    const client = await second.connect();
    const sequences: number[] = [];
    for await (const event of client.watchEvents({ afterSequence: 0, types: ['server_started'] })) {
      sequences.push(event.sequence);
      if (sequences.length === 2) break;
    }
    expect(sequences).toEqual([1, 2]);
  });
});

describe('kill -9 of the learner', () => {
  it('amid a step disturbs no request; it resumes from its checkpoint and the loop goes on', async () => {
    await using server = await startServer({ args: eagerLearner });
    const client = await server.connect({ retry: { maxAttempts: 1 } });
    await playUntil(client, 2);
    const before = await client.learnerStatus();
    const [learner = 0] = childrenOf(server.ready.pid);
    let training = false;
    const watching = (async () => {
      for await (const event of client.watchEvents()) {
        if (event.type === 'learner_state_changed' && event.detail === 'training') {
          process.kill(learner, 'SIGKILL');
          training = true;
          return;
        }
      }
    })();
    let asked = 0;
    while (!training) {
      await askAndScore(client, `amid a step ${asked++}`);
    }
    await watching;
    await until(() => !isAlive(learner), 'the learner is dead');
    for (let i = 0; i < 4; i++) await askAndScore(client, `without a learner ${i}`);
    await until(async () => (await client.learnerStatus()).restarts === 1, 'the learner is started again');
    const { live } = await client.status();
    await playUntil(client, live.number + 1);
    const after = await client.learnerStatus();
    expect(after.steps).toBeGreaterThan(before.steps);
    expect(after.rounds).toBeGreaterThan(before.rounds);
  });
});

describe('kill -9 of both', () => {
  it('leaves a data directory from which the loop goes on', async () => {
    const data = temporaryFolder();
    const acknowledged = new Map<string, number>();
    await using first = await startServer({ data, args: eagerLearner });
    const client = await first.connect({ retry: { maxAttempts: 1 } });
    await playUntil(client, 1);
    const scored = await askAndScore(client, 'to be scored', 8);
    const [learner = 0] = childrenOf(first.ready.pid);
    const sending = untilCut(sendScores(client, scored, acknowledged));
    await until(() => acknowledged.size >= 200, 'scores are under way');
    process.kill(learner, 'SIGKILL');
    await first.kill();
    await sending;

    await using second = await startServer({ data, args: eagerLearner });
    const again = await second.connect();
    await expectKept(again, acknowledged);
    const { live } = await again.status();
    expect(live.number).toBeGreaterThanOrEqual(1);
    await playUntil(again, live.number + 1);
    expect((await again.learnerStatus()).state).not.toBe('crashed');
  });
});
