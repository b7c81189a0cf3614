/** Feedback to the real server, in batches and over streams. */

import { once } from 'node:events';
import { Client, credentials, status } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HoneClient } from '../../client/index.js';
import { serviceDefinition } from '../../proto/contract.js';
import type { StreamFeedbackResponse__Output } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { startServer, type TestServer } from '../support/server.js';

let server: TestServer;
let client: HoneClient;

beforeAll(async () => {
  server = await startServer();
  client = await server.connect();
});
afterAll(() => server[Symbol.asyncDispose]());

async function generateIds(n: number): Promise<string[]> {
  const { completions } = await client.generate({ prompt: 'score me', n, maxTokens: 2 });
  return completions.map(({ generationId }) => generationId);
}

async function scoresOf(generationId: string): Promise<Record<string, number>> {
  const { scores } = await client.getGeneration(generationId);
  return Object.fromEntries(scores.map(({ rater, metric, value }) => [`${rater}/${metric}`, value]));
}

describe('a batch', () => {
  it('stores, replaces and retracts by generation, rater and metric', async () => {
    const [generationId = ''] = await generateIds(1);
    const statuses = async (items: Parameters<HoneClient['feedback']>[0]) =>
      (await client.feedback(items)).map(({ status }) => status);
    expect(await statuses([{ generationId, score: 0.25 }])).toEqual(['stored']);
    expect(await statuses([{ generationId, score: 0.75 }])).toEqual(['replaced']);
    expect(
      await statuses([
        { generationId, score: 1, rater: 'ann' },
        { generationId, score: 0, rater: 'ann', metric: 'form' },
      ]),
    ).toEqual(['stored', 'stored']);
    expect(await scoresOf(generationId)).toEqual({ 'default/score': 0.75, 'ann/score': 1, 'ann/form': 0 });
  });

  it('stores the other items if one is bad', async () => {
    const [generationId = ''] = await generateIds(1);
    const outcomes = await client.feedback([
      { generationId, score: 1 },
      { generationId, score: Number.NaN, rater: 'x' },
      { generationId: '01920000-0000-7000-8000-000000000000', score: 1 },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['stored', 'refused', 'refused']);
    expect(outcomes[1]).toMatchObject({
      error: { code: 'INVALID_REQUEST', status: 'INVALID_ARGUMENT', violations: [{ field: 'items[1].score' }] },
    });
    expect(outcomes[2]).toMatchObject({ error: { code: 'GENERATION_NOT_FOUND', status: 'NOT_FOUND' } });
    expect(await scoresOf(generationId)).toEqual({ 'default/score': 1 });
  });

  it('is stored once if it is sent twice with one key, and refused if its content differs', async () => {
    const [generationId = ''] = await generateIds(1);
    const item = { generationId, score: 0.5, idempotencyKey: `key-${generationId}` };
    expect((await client.feedback(item))[0]?.status).toBe('stored');
    expect((await client.feedback(item))[0]?.status).toBe('duplicate');
    await expect(client.feedback({ ...item, score: 0.6 })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
      status: 'ALREADY_EXISTS',
    });
  });

  it('is accepted before its generation has ended', async () => {
    for await (const event of client.stream({ prompt: 'early', maxTokens: 64, ignoreEos: true })) {
      if (event.type !== 'started') continue;
      const [outcome] = await client.feedback({ generationId: event.generationIds[0] ?? '', score: 1 });
      expect(outcome?.status).toBe('stored');
    }
  });
});

describe('a stream of feedback', () => {
  it('acknowledges every item in order, also more than fit into one message', async () => {
    const ids = await generateIds(8);
    const stream = client.feedbackStream();
    const outcomes = await Promise.all(
      Array.from({ length: 4000 }, async (_, i) => {
        await stream.ready();
        return stream.send({ generationId: ids[i % 8] ?? '', score: i / 4000, rater: `rater-${i >> 3}` });
      }),
    );
    await stream.close();
    expect(outcomes.every(({ status }) => status === 'stored')).toBe(true);
    const sequences = outcomes.map((outcome) => ('sequence' in outcome ? outcome.sequence : 0));
    expect(new Set(sequences).size).toBe(4000);
    expect((await client.getGeneration(ids[0] ?? '')).scores).toHaveLength(500);
  });

  it('names a refused item by its index in the message, also of a large one', async () => {
    const raw = new Client(server.ready.address, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = serviceDefinition('FeedbackService')
      .StreamFeedback as MethodDefinition<object, StreamFeedbackResponse__Output>;
    const [generationId] = await generateIds(1);
    const call = raw.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const refused: object[] = [];
    call.on('data', ({ outcomes }: StreamFeedbackResponse__Output) => {
      for (const { position, error } of outcomes) if (error) refused.push({ position, message: error.message });
    });
    const items = Array.from({ length: 600 }, (_, i) => ({ generationId, score: 1, rater: `rater-${i}` }));
    call.write({ items: [{ generationId, score: 1 }] });
    call.write({ items: items.with(450, { generationId, score: Number.NaN, rater: 'none' }) });
    call.end();
    await once(call, 'end');
    raw.close();
    expect(refused).toEqual([{ position: 451, message: expect.stringContaining('items[450].score') }]);
  });

  it('continues after a refused item', async () => {
    const [generationId = ''] = await generateIds(1);
    const stream = client.feedbackStream();
    const bad = await stream.send({ generationId: '01920000-0000-7000-8000-000000000000', score: 1 });
    const good = await stream.send({ generationId, score: 1 });
    await stream.close();
    expect([bad.status, good.status]).toEqual(['refused', 'stored']);
  });

  it.each([
    ['though the caller leaves the stream open', 0],
    ['though more has come already', 3],
  ])('ends if a whole message is refused, %s', async (_, more) => {
    const raw = new Client(server.ready.address, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = serviceDefinition('FeedbackService')
      .StreamFeedback as MethodDefinition<object, object>;
    const [generationId] = await generateIds(1);
    for (let round = 0; round < 10; round++) {
      const call = raw.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      call.on('data', () => undefined);
      call.write({ items: [{ generationId, score: 1 }] });
      call.write({ items: [] });
      for (let i = 0; i < more; i++) call.write({ items: [{ generationId, score: 1 }] });
      if (more > 0) call.end();
      const [error] = await once(call, 'error');
      expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
    }
    raw.close();
  });
});
