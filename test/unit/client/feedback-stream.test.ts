/** The feedback stream against a real gRPC server: order, batching, back-pressure, failures. */

import type { ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { CallOptions, FeedbackStream, FeedbackStreamOptions } from '../../../client/index.js';
import { richError, richStatus, type ScriptedServer, startScriptedServer } from '../../support/scripted-server.js';
import { signal } from '../../support/until.js';

interface Request {
  readonly items: readonly { readonly score?: number; readonly generationId: string; readonly change?: string }[];
}
type Call = ServerDuplexStream<Request, object>;

let server: ScriptedServer | undefined;
afterEach(() => server?.close());

async function open(
  StreamFeedback: (call: Call) => void,
  options: FeedbackStreamOptions & CallOptions = {},
): Promise<FeedbackStream> {
  server = await startScriptedServer({ feedback: { StreamFeedback } });
  return (await server.connect()).feedbackStream(options);
}

const item = (score: number): { generationId: string; score: number } => ({ generationId: 'g', score });

/** Acknowledges every item, with its score as sequence number, and refuses scores below zero. */
function acknowledge(call: Call): void {
  let position = 0;
  call.on('data', ({ items }: Request) => {
    const outcomes = items.map(({ score = 0 }) =>
      score < 0
        ? {
            position: position++,
            status: 'FEEDBACK_STATUS_REFUSED',
            error: richStatus({ code: 'NOT_FOUND', message: 'no such generation', reason: 'GENERATION_NOT_FOUND' }),
          }
        : { position: position++, status: 'FEEDBACK_STATUS_STORED', sequence: score },
    );
    call.write({ outcomes });
  });
  call.on('end', () => call.end());
}

describe('a feedback stream', () => {
  it('resolves a promise per item, for refused items too', async () => {
    const stream = await open(acknowledge);
    const outcomes = Promise.all([item(5), item(-1), item(7)].map((one) => stream.send(one)));
    await stream.close();
    expect(await outcomes).toMatchObject([
      { position: 0, status: 'stored', sequence: 5 },
      { position: 1, status: 'refused', error: { code: 'GENERATION_NOT_FOUND', status: 'NOT_FOUND' } },
      { position: 2, status: 'stored', sequence: 7 },
    ]);
  });

  it('rejects the item whose outcome lacks a part, and answers the others', async () => {
    const stream = await open((call) => {
      call.on('data', () =>
        call.write({
          outcomes: [
            { position: 0, status: 'FEEDBACK_STATUS_REFUSED' },
            { position: 1, status: 'FEEDBACK_STATUS_STORED', sequence: 8 },
          ],
        }),
      );
      call.on('end', () => call.end());
    });
    const [lacking, whole] = await Promise.allSettled([stream.send(item(7)), stream.send(item(8))]);
    expect(lacking).toMatchObject({ status: 'rejected', reason: { code: 'DATA_LOSS' } });
    expect(whole).toMatchObject({ status: 'fulfilled', value: { position: 1, sequence: 8 } });
    await stream.close();
  });

  it('sends the items of one turn of the event loop in one message, at most a thousand', async () => {
    const sizes: number[] = [];
    const stream = await open((call) => {
      call.on('data', ({ items }: Request) => sizes.push(items.length));
      acknowledge(call);
    });
    for (let score = 0; score < 2500; score++) void stream.send(item(score));
    await stream.close();
    expect(sizes).toEqual([1000, 1000, 500]);
  });

  it('sends items in one message even if ready() was awaited before each, up to the given number', async () => {
    const sizes: number[] = [];
    const countSizes = (call: Call): void => {
      call.on('data', ({ items }: Request) => sizes.push(items.length));
      acknowledge(call);
    };
    server = await startScriptedServer({ feedback: { StreamFeedback: countSizes } });
    const client = await server.connect();
    for (const options of [{}, { maxItemsPerMessage: 2 }]) {
      const stream = client.feedbackStream(options);
      for (let score = 0; score < 5; score++) {
        await stream.ready();
        void stream.send(item(score));
      }
      await stream.close();
    }
    expect(sizes).toEqual([5, 2, 2, 1]);
  });

  it('makes ready() wait until the server has answered', async () => {
    const [message, mayAnswer] = [signal(), signal()];
    const stream = await open(
      (call) => {
        call.on('data', async ({ items }: Request) => {
          message.give();
          await mayAnswer.given;
          call.write({ outcomes: items.map(() => ({ status: 'FEEDBACK_STATUS_STORED', sequence: 1 })) });
        });
        call.on('end', () => mayAnswer.given.then(() => call.end()));
      },
      { maxUnanswered: 2 },
    );
    void stream.send(item(1));
    await stream.ready();
    void stream.send(item(2));
    let ready = false;
    const waiting = stream.ready().then(() => {
      ready = true;
    });
    await message.given;
    expect(ready).toBe(false);
    expect(stream.unanswered).toBe(2);
    mayAnswer.give();
    await waiting;
    await stream.close();
    expect(stream.unanswered).toBe(0);
  });

  it('sends a retraction as such and keeps a given key', async () => {
    const seen: unknown[] = [];
    const stream = await open((call) => {
      call.on('data', ({ items }: Request) => seen.push(...items));
      acknowledge(call);
    });
    void stream.send({ generationId: 'g', score: null, rater: 'ann', metric: 'tone', idempotencyKey: 'k' });
    await stream.close();
    expect(seen).toMatchObject([{ change: 'retraction', rater: 'ann', metric: 'tone', idempotencyKey: 'k' }]);
  });

  it('rejects unanswered and later items when the call fails', async () => {
    const stream = await open((call) => {
      call.once('data', () =>
        call.emit('error', richError({ code: 'RESOURCE_EXHAUSTED', message: 'full', reason: 'STORE_FULL' })),
      );
    });
    await expect(stream.send(item(1))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await expect(stream.send(item(2))).rejects.toMatchObject({ code: 'STORE_FULL' });
    await expect(stream.ready()).rejects.toMatchObject({ code: 'STORE_FULL' });
    await expect(stream.close()).rejects.toMatchObject({ code: 'STORE_FULL' });
  });

  it('sends items that were not answered again on another call, with the same keys, and counts on', async () => {
    const seen: string[][] = [];
    const stream = await open((call) => {
      const keys: string[] = [];
      seen.push(keys);
      call.on('data', ({ items }: { readonly items: readonly { readonly idempotencyKey: string }[] }) => {
        keys.push(...items.map(({ idempotencyKey }) => idempotencyKey));
        if (seen.length > 1) {
          call.write({ outcomes: items.map((_, i) => ({ position: i, status: 'FEEDBACK_STATUS_DUPLICATE' })) });
          return;
        }
        call.write({ outcomes: [{ position: 0, status: 'FEEDBACK_STATUS_STORED' }] });
        // gRPC drops the message if the error follows at once.
        setImmediate(() => call.emit('error', richError({ code: 'UNAVAILABLE', message: 'gone', reason: 'DRAINING' })));
      });
      call.on('end', () => call.end());
    });
    const outcomes = Promise.all([1, 2, 3].map((score) => stream.send(item(score))));
    await stream.close();
    expect(await outcomes).toMatchObject([
      { position: 0, status: 'stored' },
      { position: 1, status: 'duplicate' },
      { position: 2, status: 'duplicate' },
    ]);
    expect(seen[1]).toEqual(seen[0]?.slice(1));
  });

  it('ends when it is cancelled, also while it waits for another call', async () => {
    const failed = signal();
    const stream = await open((call) => {
      failed.give();
      call.emit('error', richError({ code: 'UNAVAILABLE', message: 'gone' }));
    });
    const outcome = stream.send(item(1));
    await failed.given;
    stream.cancel();
    await expect(outcome).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(stream.close()).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('rejects unanswered items if the server ends the call without an error', async () => {
    const stream = await open(
      (call) => {
        call.once('data', () => call.end());
      },
      { retry: { maxAttempts: 1 } },
    );
    await expect(stream.send(item(1))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(stream.close()).rejects.toThrow('1 items unanswered');
  });
});
