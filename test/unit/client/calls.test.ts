/** Calls of the client against a real gRPC server: errors, retries, deadlines, cancellation. */

import { type EventEmitter, getEventListeners } from 'node:events';
import {
  credentials,
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Calls } from '../../../client/calls.js';
import { Connection } from '../../../client/connection.js';
import { connect, type GenerateEvent, HoneClientError } from '../../../client/index.js';
import { services } from '../../../proto/contract.js';
import {
  type RichError,
  richError,
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../../support/scripted-server.js';

let server: ScriptedServer | undefined;
afterEach(() => server?.close());

async function start(script: Script): Promise<ScriptedServer> {
  server = await startScriptedServer(script);
  return server;
}

type Unary = (call: ServerUnaryCall<Record<string, unknown>, object>, done: sendUnaryData<object>) => void;

/** Fails a number of times, then answers; counts the calls. */
function failing(error: RichError, times: number, answer: object): Unary & { calls: number } {
  const handler = ((_call, done) => {
    handler.calls += 1;
    if (handler.calls <= times) done(richError(error));
    else done(null, answer);
  }) as Unary & { calls: number };
  handler.calls = 0;
  return handler;
}

/** Ends a stream with an error. */
function fail(call: EventEmitter, error: RichError): void {
  call.emit('error', richError(error));
}

async function failure(promise: Promise<unknown>): Promise<HoneClientError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(HoneClientError);
  return thrown as HoneClientError;
}

const down: RichError = { code: 'UNAVAILABLE', message: 'gone', reason: 'WORKER_CRASHED' };
const busy: RichError = { code: 'RESOURCE_EXHAUSTED', message: 'busy', reason: 'QUEUE_FULL', retryAfterMs: 5 };
const version = { number: 3, state: 'VERSION_STATE_LIVE', origin: 'VERSION_ORIGIN_ROLLBACK', parent: 1 };

describe('a failed call', () => {
  it('carries code, status, message, fields and the time to wait', async () => {
    const refuse: Unary = (_call, done) =>
      done(
        richError({
          code: 'INVALID_ARGUMENT',
          message: 'n must be 1 to 64, not 0',
          reason: 'INVALID_REQUEST',
          violations: [{ field: 'n', description: 'must be 1 to 64' }],
          retryAfterMs: 1500,
        }),
      );
    const client = await (await start({ generation: { Generate: refuse } })).connect();
    const error = await failure(client.generate({ prompt: 'x', n: 0 }));
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 'INVALID_ARGUMENT', retryAfterMs: 1500 });
    expect(error.message).toBe('n must be 1 to 64, not 0');
    expect(error.violations).toEqual([{ field: 'n', description: 'must be 1 to 64' }]);
  });

  it('has the status as its code if there are no details', async () => {
    const client = await (await start({ generation: {} })).connect();
    expect(await failure(client.generate({ prompt: 'x' }))).toMatchObject({ code: 'UNIMPLEMENTED' });
  });

  it('reports a closed client', async () => {
    const { address } = await start({});
    const hone = await connect({ address });
    hone.close();
    const first = hone.stream({ prompt: 'hi' }).next();
    for (const call of [hone.status(), first]) {
      expect(await failure(call)).toMatchObject({ code: 'CANCELLED', message: 'the client is closed: connect again' });
    }
  });

  it('has the status as its code if this release does not know the code', async () => {
    const refuse: Unary = (_call, done) =>
      done(richError({ code: 'NOT_FOUND', message: 'new', reason: 'MOON_NOT_FOUND' }));
    const client = await (await start({ generation: { Generate: refuse } })).connect();
    expect(await failure(client.generate({ prompt: 'x' }))).toMatchObject({ code: 'NOT_FOUND', message: 'new' });
  });

  it('reports that no server answers', async () => {
    const error = await failure(connect({ address: '127.0.0.1:1', connectTimeoutMs: 50 }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'no Hone server answers at 127.0.0.1:1' });
  });
});

describe('a retry', () => {
  it('repeats a reading call until it succeeds', async () => {
    const GetVersion = failing(down, 3, { version });
    const client = await (await start({ versions: { GetVersion } })).connect();
    expect(await client.version(3)).toMatchObject({ number: 3, state: 'live', origin: 'rollback', parent: 1 });
    expect(GetVersion.calls).toBe(4);
  });

  it('at a server that is full is given up after the fourth attempt, with the last error', async () => {
    const GetVersion = failing(busy, 100, {});
    const client = await (await start({ versions: { GetVersion } })).connect();
    expect(await failure(client.version(3))).toMatchObject({ code: 'QUEUE_FULL' });
    expect(GetVersion.calls).toBe(4);
  });

  it('at a server that is gone goes on for a time, not for a number of attempts', async () => {
    const GetVersion = failing(down, 20, { version });
    const client = await (await start({ versions: { GetVersion } })).connect();
    const retry = { baseDelayMs: 1, maxDelayMs: 1 };
    expect(await client.version(3, { retry })).toMatchObject({ number: 3 });
    expect(GetVersion.calls).toBe(21);
    const never = { ...retry, maxElapsedMs: 0 };
    server?.close();
    const failed = failing(down, 20, {});
    const second = await (await start({ versions: { GetVersion: failed } })).connect();
    expect(await failure(second.version(3, { retry: never }))).toMatchObject({ code: 'WORKER_CRASHED' });
    expect(failed.calls).toBeLessThan(4);
  });

  it('fetches files again from their beginning if they were cut off', async () => {
    let calls = 0;
    const ExportVersion = (call: ServerWritableStream<object, object>): void => {
      calls += 1;
      call.write({ chunk: { name: 'a', size: 4, data: Buffer.from('ab') } });
      if (calls === 1) {
        // gRPC drops the message if the error follows at once.
        setImmediate(() => fail(call, down));
        return;
      }
      call.write({ chunk: { data: Buffer.from('cd') } });
      call.end();
    };
    const client = await (await start({ versions: { ExportVersion } })).connect();
    expect(await client.exportVersion(1)).toEqual({ a: Buffer.from('abcd') });
    expect(calls).toBe(2);
  });

  it('repeats a generation only if the server refused it before it began', async () => {
    const Generate = failing(busy, 2, { completions: [], version: 1, usage: {} });
    const first = await (await start({ generation: { Generate } })).connect();
    expect(await first.generate({ prompt: 'x' })).toMatchObject({ version: 1 });
    expect(Generate.calls).toBe(3);
    server?.close();

    const crashing = failing(down, 1, {});
    const second = await (await start({ generation: { Generate: crashing } })).connect();
    expect(await failure(second.generate({ prompt: 'x' }))).toMatchObject({ code: 'WORKER_CRASHED' });
    expect(crashing.calls).toBe(1);
  });

  it('never repeats a rollback', async () => {
    const Rollback = failing(down, 1, { version });
    const client = await (await start({ admin: { Rollback } })).connect();
    expect(await failure(client.rollback(1))).toMatchObject({ status: 'UNAVAILABLE' });
    expect(Rollback.calls).toBe(1);
  });

  it('does not wait past the deadline', async () => {
    const GetVersion = failing({ ...busy, retryAfterMs: 4000 }, 100, {});
    const client = await (await start({ versions: { GetVersion } })).connect();
    // The deadline would pass during the wait.
    expect(await failure(client.version(1, { timeoutMs: 3000 }))).toMatchObject({ code: 'QUEUE_FULL' });
    expect(GetVersion.calls).toBe(1);
  });

  it('sends the same idempotency keys again, one key per item', async () => {
    const seen: string[][] = [];
    const SubmitFeedback: Unary = (call, done) => {
      seen.push((call.request.items as { idempotencyKey: string }[]).map((item) => item.idempotencyKey));
      if (seen.length < 2) done(richError(down));
      else done(null, { outcomes: [{ status: 'FEEDBACK_STATUS_STORED', sequence: 7 }] });
    };
    const client = await (await start({ feedback: { SubmitFeedback } })).connect();
    const items = [1, 2].map((score) => ({ generationId: 'g', score }));
    expect(await client.feedback(items)).toEqual([{ position: 0, status: 'stored', sequence: 7 }]);
    expect(seen[0]).toEqual(seen[1]);
    expect(new Set(seen[0]).size).toBe(2);
  });
});

describe('a call', () => {
  const never: Unary = () => undefined;

  it('ends at its deadline', async () => {
    const client = await (await start({ generation: { Generate: never } })).connect();
    expect(await failure(client.generate({ prompt: 'x' }, { timeoutMs: 50 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('ends on the server when its signal aborts', async () => {
    const client = new AbortController();
    const cancelled = new Promise<void>((resolve) => {
      const Generate: Unary = (call) => {
        call.on('cancelled', () => resolve());
        client.abort();
      };
      void start({ generation: { Generate } })
        .then((scripted) => scripted.connect())
        .then(async (hone) => {
          const error = await failure(hone.generate({ prompt: 'x' }, { signal: client.signal }));
          expect(error).toMatchObject({ code: 'CANCELLED', status: 'CANCELLED' });
        });
    });
    await cancelled;
  });

  it('ends when its client is closed, and so does a stream', async () => {
    const StreamGenerate = (call: ServerWritableStream<object, object>): boolean =>
      call.write({ started: { generationIds: ['a'] } });
    const script = { generation: { StreamGenerate }, versions: { GetVersion: never } };
    const client = await (await start(script)).connect();
    const stream = client.stream({ prompt: 'x' });
    await stream.next();
    const calls = [client.version(1), stream.next()];
    client.close();
    for (const call of calls)
      expect(await failure(call)).toMatchObject({ code: 'CANCELLED', message: 'the client is closed: connect again' });
  });

  it('that streams both ways leaves no listener on its signal if the server ends it', async () => {
    const StreamFeedback = (call: EventEmitter): void => fail(call, down);
    const { address } = await start({ feedback: { StreamFeedback } });
    const connection = new Connection({ address, credentials: credentials.createInsecure(), keepaliveMs: 30_000 });
    const calls = new Calls(connection, { token: undefined, timeoutMs: 1000, retry: {} });
    const { signal } = new AbortController();
    try {
      const options = { signal };
      const call = await calls.duplexStream(
        services.feedback.StreamFeedback,
        options,
        calls.retries(options),
        undefined,
      );
      call.on('error', () => undefined).resume();
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      await new Promise((resolve) => call.once('status', resolve));
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    } finally {
      calls.close();
    }
  });

  it.each([
    ['short', 'secret', 'r-1'],
    ['long', 's'.repeat(8192), `words ${'w'.repeat(250)}`],
  ])('carries a %s token and request id', async (_, token, requestId) => {
    const seen: unknown[] = [];
    const GetVersion: Unary = ({ metadata }, done) => {
      seen.push(metadata.get('authorization'), metadata.get('x-request-id'));
      done(null, { version });
    };
    const client = await (await start({ versions: { GetVersion } })).connect({ token });
    expect(await client.version(3, { requestId })).toMatchObject({ number: 3 });
    expect(seen).toEqual([[`Bearer ${token}`], [requestId]]);
  });
});

describe('a stream of a generation', () => {
  type Streaming = (call: ServerWritableStream<object, object>) => void;
  const parts = [
    { started: { generationIds: ['a', 'b'], version: 2, adapterDigest: 'd', packageDigest: 'p', promptTokens: 4 } },
    {
      chunks: [
        { index: 0, text: 'Hel', tokenIds: [1] },
        { index: 1, text: 'x', tokenIds: [2] },
      ],
    },
    { finished: [{ index: 1, reason: 'FINISH_REASON_LENGTH' }] },
    { chunks: [{ index: 0, text: 'lo' }], finished: [{ index: 0, reason: 'FINISH_REASON_STOP' }] },
    { usage: { promptTokens: 4, completionTokens: 3, totalTokens: 7 } },
  ];

  it('yields the events in the order of the server', async () => {
    const StreamGenerate: Streaming = (call) => {
      for (const part of parts) call.write(part);
      call.end();
    };
    const client = await (await start({ generation: { StreamGenerate } })).connect();
    const events: GenerateEvent[] = [];
    for await (const event of client.stream({ prompt: 'x' })) events.push(event);
    const types = ['started', 'chunk', 'chunk', 'finished', 'chunk', 'finished', 'usage'];
    expect(events.map(({ type }) => type)).toEqual(types);
    expect(events[0]).toMatchObject({ generationIds: ['a', 'b'], version: 2, cachedPromptTokens: 0 });
    expect(events[3]).toEqual({ type: 'finished', index: 1, reason: 'length' });
    expect(events[6]).toMatchObject({ totalTokens: 7 });
  });

  it('is cancelled on the server when the loop is left', async () => {
    let cancelled: () => void;
    const gone = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    const StreamGenerate: Streaming = (call) => {
      call.on('cancelled', () => cancelled());
      for (const part of parts.slice(0, 2)) call.write(part);
    };
    const client = await (await start({ generation: { StreamGenerate } })).connect();
    for await (const event of client.stream({ prompt: 'x' })) if (event.type === 'chunk') break;
    await gone;
  });

  it('is retried if the server refused it before it began, and not after something has arrived', async () => {
    let calls = 0;
    const StreamGenerate: Streaming = (call) => {
      calls += 1;
      if (calls > 1) call.write(parts[0] ?? {});
      // gRPC drops the message if the error follows at once.
      setImmediate(() => fail(call, busy));
    };
    const client = await (await start({ generation: { StreamGenerate } })).connect();
    const events: GenerateEvent[] = [];
    const reading = (async () => {
      for await (const event of client.stream({ prompt: 'x' })) events.push(event);
    })();
    expect(await failure(reading)).toMatchObject({ code: 'QUEUE_FULL' });
    expect(events).toHaveLength(1);
    expect(calls).toBe(2);
  });
});

describe('watching events', () => {
  type Watch = ServerWritableStream<Record<string, unknown>, object>;
  const event = (sequence: number, type = 'VERSION_PROMOTED'): object => ({ sequence, type: `EVENT_TYPE_${type}` });

  it('ends with the code of the server if the events after the last one are not kept any more', async () => {
    const asked: unknown[] = [];
    const WatchEvents = (call: Watch): void => {
      asked.push(call.request.afterSequence);
      if (asked.length === 1) {
        call.write({ events: [event(5)] });
        setImmediate(() => fail(call, down));
      } else fail(call, { code: 'NOT_FOUND', message: 'gone', reason: 'EVENTS_NOT_FOUND' });
    };
    const client = await (await start({ events: { WatchEvents } })).connect();
    const watch = client.watchEvents({ afterSequence: 4 });
    expect(await watch.next()).toMatchObject({ value: { sequence: 5 } });
    expect(await failure(watch.next())).toMatchObject({ code: 'EVENTS_NOT_FOUND', status: 'NOT_FOUND' });
    expect(asked).toEqual([4, 5]);
  });

  it('of now continues after the event that was the last when it began', async () => {
    const asked: unknown[] = [];
    const WatchEvents = (call: Watch): void => {
      asked.push(call.request.afterSequence);
      const metadata = new Metadata();
      metadata.set('hone-last-event', '41');
      call.sendMetadata(metadata);
      if (asked.length === 1) setImmediate(() => fail(call, down));
      else call.write({ events: [event(42)] });
    };
    const client = await (await start({ events: { WatchEvents } })).connect();
    for await (const { sequence } of client.watchEvents()) {
      expect(sequence).toBe(42);
      break;
    }
    expect(asked).toEqual([undefined, 41]);
  });

  it('of some types continues after the last event of any type, because old ones may not be kept', async () => {
    const asked: unknown[] = [];
    const WatchEvents = (call: Watch): void => {
      asked.push(call.request.afterSequence);
      if (asked.length === 1) {
        call.write({ events: [event(1), event(2, 'LEARNER_PROGRESS'), event(3, 'LEARNER_PROGRESS')] });
        setImmediate(() => fail(call, down));
      } else call.write({ events: [event(4, 'LEARNER_PROGRESS'), event(5)] });
    };
    const client = await (await start({ events: { WatchEvents } })).connect();
    const sequences: number[] = [];
    for await (const { sequence } of client.watchEvents({ afterSequence: 0, types: ['version_promoted'] })) {
      sequences.push(sequence);
      if (sequences.length === 2) break;
    }
    expect(sequences).toEqual([1, 5]);
    expect(asked).toEqual([0, 3]);
  });

  it('continues after the last event when the connection is lost', async () => {
    const asked: unknown[] = [];
    const WatchEvents = (call: ServerWritableStream<Record<string, unknown>, object>): void => {
      asked.push(call.request.afterSequence);
      const first = (call.request.afterSequence as number) + 1;
      const event = (sequence: number): object => ({
        sequence,
        type: 'EVENT_TYPE_VERSION_PROMOTED',
        version: sequence,
      });
      call.write({ events: [event(first), event(first + 1)] });
      setImmediate(() => fail(call, down));
    };
    const client = await (await start({ events: { WatchEvents } })).connect();
    const sequences: number[] = [];
    for await (const event of client.watchEvents({ afterSequence: 10, types: ['version_promoted'] })) {
      expect(event.type).toBe('version_promoted');
      sequences.push(event.sequence);
      if (sequences.length === 6) break;
    }
    expect(sequences).toEqual([11, 12, 13, 14, 15, 16]);
    expect(asked).toEqual([10, 12, 14]);
  });
});
