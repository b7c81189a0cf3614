/** Another program holds a lock on the store of a running server. */

import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Database } from '../../src/sqlite/index.js';
import { eagerLearner, playRound } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

it('while another program holds the lock for writing, what only reads goes on, what writes is refused, and then all goes on', async () => {
  const data = temporaryFolder();
  await using server = await startServer({ data, args: eagerLearner });
  const client = await server.connect({ retry: { maxAttempts: 1 } });
  const { completions } = await client.generate({ prompt: 'before', n: 2, maxTokens: 4 });
  const id = completions[0]?.generationId ?? '';
  await client.feedback([{ generationId: id, score: 0.5 }]);
  const other = new Database(join(data, 'replay.sqlite'), { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  other.exec('BEGIN IMMEDIATE');

  const busy = { status: 'UNAVAILABLE', code: 'STORE_BUSY', retryAfterMs: 1000 };
  await expect(client.generate({ prompt: 'kept', maxTokens: 4 })).rejects.toMatchObject(busy);
  await expect(client.stream({ prompt: 'kept', maxTokens: 4 }).next()).rejects.toMatchObject(busy);
  await expect(client.feedback([{ generationId: id, score: 1 }])).rejects.toMatchObject(busy);
  await expect(client.eraseSubject('nobody')).rejects.toMatchObject(busy);
  expect((await client.generate({ prompt: 'not kept', maxTokens: 4, store: false })).completions).toHaveLength(1);
  expect((await client.getGeneration(id)).scores).toMatchObject([{ value: 0.5 }]);
  await client.explain(id);
  let records = 0;
  for await (const page of client.exportReplay()) ({ records } = page);
  expect(records).toBe(3);
  expect((await client.status()).replay.failure).toMatchObject({ code: 'STORE_BUSY' });
  for await (const { detail } of client.watchEvents({ afterSequence: 0, types: ['store_failed'] })) {
    expect(detail).toContain('STORE_BUSY');
    break;
  }

  other.exec('ROLLBACK');
  await until(
    async () => (await client.status()).replay.failure === undefined,
    'the server sees that the lock has gone',
  );
  expect((await client.getGeneration(id)).scores).toMatchObject([{ value: 0.5 }]);
  await client.feedback([{ generationId: id, score: 1 }]);
  await playRound(client, 'after the lock');
});

it('a client that tries again as it is told gets through once the lock has gone', async () => {
  const data = temporaryFolder();
  await using server = await startServer({ data });
  const client = await server.connect({ retry: { maxAttempts: 100 } });
  const other = new Database(join(data, 'replay.sqlite'), { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  const answer = client.generate({ prompt: 'kept', maxTokens: 4 });
  await until(
    async () => (await client.status()).replay.failure?.code === 'STORE_BUSY',
    'the request was refused once',
  );
  other.exec('ROLLBACK');
  const [completion] = (await answer).completions;
  expect((await client.getGeneration(completion?.generationId ?? '')).state).toBe('finished');
});

it('a server starts while another program holds the lock for writing', async () => {
  const data = temporaryFolder();
  const first = await startServer({ data });
  const client = await first.connect();
  const { completions } = await client.generate({ prompt: 'before', maxTokens: 4 });
  const id = completions[0]?.generationId ?? '';
  await first.stop();
  const other = new Database(join(data, 'replay.sqlite'), { access: 'write', busyTimeoutMs: 5000 });
  onTestFinished(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  await using second = await startServer({ data });
  const again = await second.connect({ retry: { maxAttempts: 1 } });
  expect((await again.getGeneration(id)).state).toBe('finished');
  await expect(again.feedback([{ generationId: id, score: 1 }])).rejects.toMatchObject({ code: 'STORE_BUSY' });
  other.exec('ROLLBACK');
  await again.feedback([{ generationId: id, score: 1 }]);
});
