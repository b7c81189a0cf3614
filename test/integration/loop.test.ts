/** The loop from end to end on the tiny package: scores make new versions, and a rollback undoes them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HoneClient, HoneEvent } from '../../client/index.js';
import { askAndScore, eagerLearner, playUntil } from '../support/app.js';
import { RawClient } from '../support/raw-client.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

let server: TestServer;
let client: HoneClient;

beforeAll(async () => {
  server = await startServer({ args: eagerLearner });
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

async function eventsUntil(last: (event: HoneEvent) => boolean): Promise<HoneEvent[]> {
  const events: HoneEvent[] = [];
  for await (const event of client.watchEvents({ afterSequence: 0 })) {
    events.push(event);
    if (last(event)) break;
  }
  return events;
}

describe('the loop', () => {
  it('makes a version from scores, swaps it in, and serves the weights that the learner trained', async () => {
    const live = await playUntil(client, 1);
    expect(live).toMatchObject({ origin: 'learned', state: 'live' });
    const events = await eventsUntil(({ type, version }) => type === 'version_promoted' && version === 1);
    const types = events.map(({ type }) => type);
    expect(types[0]).toBe('server_started');
    expect(types.indexOf('version_created')).toBeLessThan(types.indexOf('version_promoted'));
    expect(types).toContain('learner_progress');
    const promoted = events.at(-1);
    // The served logits are those of the candidate, not of the version before.
    expect(promoted?.numbers.probe_to_new).toBeLessThan((promoted?.numbers.probe_to_previous ?? 0) / 10);

    const raw = new RawClient(server.ready.address);
    const answer = await raw.call('GenerationService', 'Generate', { prompt: 'a', sampling: { maxTokens: 1 } });
    const [message] = answer.messages;
    const served = await client.version(Number(message?.version));
    expect(served.number).toBeGreaterThanOrEqual(1);
    expect(message?.adapterDigest).toBe(served.adapterDigest);
    expect(answer.metadata.get('hone-adapter-digest')).toHaveLength(1);
    expect(served.adapterDigest).not.toBe((await client.version(0)).adapterDigest);
    raw.close();
  });

  it('continues: the learner counts its rounds, and each generation has its version', async () => {
    const { number } = await playUntil(client, 3);
    const ids = await askAndScore(client, 'after');
    const generation = await client.getGeneration(ids[0] ?? '');
    expect(generation.version).toBeGreaterThanOrEqual(number);
    expect(generation.adapterDigest).toBe((await client.version(generation.version)).adapterDigest);
    const learner = await client.learnerStatus();
    expect(learner.rounds).toBeGreaterThanOrEqual(3);
    expect(learner.steps).toBeGreaterThan(0);
    expect(learner.droppedSteps).toBe(0);
  });

  it('accepts scores while the learner is paused, and makes versions again when it is resumed', async () => {
    expect((await client.pauseLearner()).state).toBe('paused');
    const { live, learner } = await client.status();
    for (let i = 0; i < 8; i++) await askAndScore(client, `paused ${i}`);
    expect((await client.status()).live.number).toBe(live.number);
    await client.resumeLearner();
    await until(
      async () => (await client.learnerStatus()).rounds > learner.rounds,
      'the learner has used the scores that came while it was paused',
    );
    // The gate may reject the version of that round.
    await playUntil(client, live.number + 1);
  });

  it('rolls back to the weights of the first version, and continues to learn from them', async () => {
    await client.pauseLearner();
    const before = (await client.status()).live.number;
    const base = await client.version(0);
    const head = await client.rollback(0);
    // Candidates that were rejected or superseded have numbers too.
    expect(head.number).toBeGreaterThan(before);
    expect(head).toMatchObject({
      origin: 'rollback',
      parent: 0,
      adapterDigest: base.adapterDigest,
    });
    expect((await client.generate({ prompt: 'a', maxTokens: 1 })).version).toBe(head.number);
    expect((await client.version(before)).state).toBe('retired');
    await client.resumeLearner();
    const next = await playUntil(client, head.number + 1);
    expect(next.origin).toBe('learned');
    expect(next.parent).toBeGreaterThanOrEqual(head.number);
  });

  it('lists its versions in pages, newest first, one of them live', async () => {
    const numbers: number[] = [];
    let live = 0;
    for await (const version of client.versions({ pageSize: 2 })) {
      numbers.push(version.number);
      if (version.state === 'live') live += 1;
    }
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
    expect(numbers.at(-1)).toBe(0);
    expect(live).toBe(1);
  });

  it('refuses to watch events from a number that it has dropped or not reached', async () => {
    const watch = async () => {
      for await (const _ of client.watchEvents({ afterSequence: 1_000_000 })) return;
    };
    await expect(watch()).rejects.toMatchObject({ code: 'EVENTS_NOT_FOUND', status: 'NOT_FOUND' });
  });
});
