/** A connection whose peer has gone silent, without closing it: every call notices, and later calls work again. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectOptions, connect, type HoneClient } from '../../client/index.js';
import { endlessArgs, endlessRequest } from '../support/endless.js';
import { type SilentProxy, startProxy } from '../support/proxy.js';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

/** A ping after 2 s, with a second for its answer, also on a busy machine. */
const keepaliveMs = 3000;
/** No retries, so that a call reports the dead connection itself. */
const once: ConnectOptions = { keepaliveMs, retry: { maxAttempts: 1 } };
/** Far longer than the test: a call that ends by its deadline has not noticed. */
const timeoutMs = 1_000_000;

let server: TestServer;
let proxy: SilentProxy;
const clients: HoneClient[] = [];
beforeAll(async () => {
  server = await startServer({ args: await endlessArgs() });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  proxy?.close();
});
afterAll(() => server[Symbol.asyncDispose]());

async function connectThroughProxy(options: ConnectOptions = once): Promise<HoneClient> {
  const client = await connect({ address: proxy.address, timeoutMs, ...options });
  clients.push(client);
  return client;
}

const lost = { status: 'UNAVAILABLE' };

/** Reads a stream to its end. */
async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

describe('when a connection goes silent', () => {
  it('every stream on it ends, though it has no deadline, and every call that begins on it', async () => {
    proxy = await startProxy(server.ready.address);
    const client = await connectThroughProxy();
    const watch = client.watchEvents({ afterSequence: 0 });
    const generation = client.stream(endlessRequest);
    await Promise.all([watch.next(), generation.next()]);
    const { completions } = await client.generate({ prompt: 'a', maxTokens: 1 });
    const item = { generationId: completions[0]?.generationId ?? '', score: 1 };
    const feedback = client.feedbackStream();
    expect(await feedback.send(item)).toMatchObject({ status: 'stored' });
    proxy.goSilent();
    const calls: Record<string, Promise<unknown>> = {
      watch: drain(watch),
      generation: drain(generation),
      'item of feedback': feedback.send({ ...item, score: 0 }),
      'stream of feedback': feedback.close(),
      status: client.status(),
      generate: client.generate({ prompt: 'a' }),
      import: client.importReplay([Buffer.from('{}\n')]),
      export: drain(client.exportReplay()),
    };
    const ends = await Promise.allSettled(Object.values(calls));
    expect(Object.keys(calls).map((name, i) => [name, ends[i]])).toMatchObject(
      Object.keys(calls).map((name) => [name, { status: 'rejected', reason: lost }]),
    );
    // The next call finds that there is no connection.
    await expect(client.status()).rejects.toMatchObject(lost);
  });

  it('a client without calls notices too', async () => {
    proxy = await startProxy(server.ready.address);
    await connectThroughProxy();
    expect(proxy.closed).toBe(0);
    proxy.goSilent();
    await until(() => proxy.closed > 0, 'the client has given up the connection');
  });

  it('a fresh client gets a connection of its own, and closing one leaves the other alone', async () => {
    proxy = await startProxy(server.ready.address);
    // This one takes a day to notice.
    await connectThroughProxy({ ...once, keepaliveMs: 86_400_000 });
    proxy.goSilent();
    proxy.recover();
    const fresh = await connectThroughProxy();
    const other = await connectThroughProxy();
    expect(proxy.accepted).toBe(3);
    fresh.close();
    expect(await other.status()).toMatchObject({ draining: false });
  });

  it('connect gives up after its own time limit', async () => {
    proxy = await startProxy(server.ready.address);
    proxy.goSilent();
    const connecting = connectThroughProxy({ keepaliveMs, connectTimeoutMs: 100 });
    await expect(connecting).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('no Hone server answers at'),
    });
  });

  it('a reading call succeeds on a new connection, even if a first new one was silent too', async () => {
    proxy = await startProxy(server.ready.address);
    const client = await connectThroughProxy({ keepaliveMs });
    proxy.goSilent();
    const answer = client.status();
    await until(() => proxy.accepted > 1, 'the client has connected again');
    proxy.recover();
    expect(await answer).toMatchObject({ draining: false });
    // The request of a generation that was never sent is safe to send.
    expect(await client.generate({ prompt: 'a', maxTokens: 1 })).toMatchObject({ version: 0 });
  });

  it('items of feedback that were not acknowledged are sent again, and count once', async () => {
    proxy = await startProxy(server.ready.address);
    const client = await connectThroughProxy({ keepaliveMs });
    const { completions } = await client.generate({ prompt: 'a', n: 3, maxTokens: 1 });
    const [first, ...others] = completions.map(({ generationId }) => ({ generationId, score: 1 }));
    const stream = client.feedbackStream();
    expect(await stream.send(first as NonNullable<typeof first>)).toMatchObject({ position: 0, status: 'stored' });
    proxy.goSilent();
    const outcomes = Promise.all(others.map((item) => stream.send(item)));
    proxy.recover();
    expect(await outcomes).toMatchObject([
      { position: 1, status: 'stored' },
      { position: 2, status: 'stored' },
    ]);
    await stream.close();
  });
});

it('a server that is stopped in its tracks is noticed, and the same client works when it goes on', async () => {
  await using frozen = await startServer();
  const client = await frozen.connect({ keepaliveMs, timeoutMs });
  const watch = client.watchEvents({ afterSequence: 0, retry: { maxAttempts: 1 } });
  await watch.next();
  frozen.process.kill('SIGSTOP');
  try {
    const status = client.status({ retry: { maxAttempts: 1 } });
    const ends = await Promise.allSettled([watch.next(), status]);
    expect(ends).toMatchObject([1, 2].map(() => ({ status: 'rejected', reason: lost })));
  } finally {
    frozen.process.kill('SIGCONT');
  }
  expect(await client.status()).toMatchObject({ draining: false });
});
