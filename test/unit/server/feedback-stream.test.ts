/** A stream of feedback against a real gRPC server: how answers are grouped and ordered, and when reading stops. */

import { once } from 'node:events';
import { Client, type ClientDuplexStream, credentials, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { afterEach, expect, it } from 'vitest';
import { serviceDefinition } from '../../../proto/contract.js';
import type { StreamFeedbackResponse__Output } from '../../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { feedbackHandlers } from '../../../server/grpc/feedback.js';
import type { Agent, FeedbackInput, FeedbackResult } from '../../../src/agent/index.js';
import { HoneError } from '../../../src/errors.js';

type Take = (items: readonly FeedbackInput[], firstIndex?: number) => Promise<FeedbackResult[]>;
type Call = ClientDuplexStream<object, StreamFeedbackResponse__Output>;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function open(feedback: Take): Promise<Call> {
  const definition = serviceDefinition('FeedbackService') as ServiceDefinition & {
    StreamFeedback: MethodDefinition<object, object, object, StreamFeedbackResponse__Output>;
  };
  const server = new Server();
  server.addService(definition, { ...feedbackHandlers({ feedback } as Agent, () => undefined) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  closers.push(
    () => server.forceShutdown(),
    () => client.close(),
  );
  const { path, requestSerialize, responseDeserialize } = definition.StreamFeedback;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
}

const score = (n: number) => ({ generationId: `g${n}`, score: n });
const send = (call: Call, ...numbers: number[]) => call.write({ items: numbers.map(score) });
const stored = (items: readonly FeedbackInput[]): FeedbackResult[] =>
  items.map((item) => ({ status: 'stored', sequence: item.score ?? 0 }));

/** Sequence numbers by message, when the call has ended. */
async function answersOf(call: Call): Promise<number[][]> {
  const answers: number[][] = [];
  call.on('data', ({ outcomes }) => answers.push(outcomes.map(({ sequence = -1 }) => sequence)));
  await once(call, 'end');
  return answers;
}

/** A store whose commits the test finishes by hand. */
class HeldStore {
  readonly commits: { readonly items: readonly FeedbackInput[]; readonly done: () => void }[] = [];
  #arrived: (() => void) | undefined;

  readonly take: Take = (items) =>
    new Promise((resolve) => {
      this.commits.push({ items, done: () => resolve(stored(items)) });
      this.#arrived?.();
    });

  async waitFor(commits: number): Promise<void> {
    while (this.commits.length < commits) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }
}

it('answers the items of one commit in one message, in the order of the stream', async () => {
  const store = new HeldStore();
  const call = await open(store.take);
  const answers = answersOf(call);
  send(call, 1, 2);
  send(call, 3);
  send(call, 4);
  await store.waitFor(3);
  for (const { done } of [...store.commits].reverse()) done();
  call.end();
  expect(await answers).toEqual([[1, 2, 3, 4]]);
});

it('holds back the answers of later messages until an earlier one is committed', async () => {
  const store = new HeldStore();
  const call = await open(store.take);
  const answers = answersOf(call);
  send(call, 1);
  send(call, 2);
  await store.waitFor(2);
  store.commits[1]?.done();
  send(call, 3);
  await store.waitFor(3);
  store.commits[2]?.done();
  store.commits[0]?.done();
  call.end();
  expect((await answers).flat()).toEqual([1, 2, 3]);
});

it('stops reading while a thousand items wait for their commit, and reads the rest afterwards', async () => {
  const store = new HeldStore();
  const call = await open(store.take);
  const answers = answersOf(call);
  for (let from = 0; from < 4000; from += 100) send(call, ...Array.from({ length: 100 }, (_, i) => from + i));
  call.end();
  await store.waitFor(11);
  // An answer to a call that is made now arrives after everything that the network holds.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(store.commits).toHaveLength(11);
  for (let next = 0; next < 40; next++) {
    await store.waitFor(next + 1);
    store.commits[next]?.done();
  }
  expect((await answers).flat()).toEqual(Array.from({ length: 4000 }, (_, i) => i));
});

it('writes a message that a full queue refused before later messages', async () => {
  const written: number[] = [];
  let refusals = 3;
  const call = await open(async (items) => {
    if (refusals-- > 0) throw new HoneError('QUEUE_FULL', 'full', { retryAfterMs: 1 });
    written.push(...items.map((item) => item.score ?? 0));
    return stored(items);
  });
  const answers = answersOf(call);
  for (let n = 1; n <= 20; n++) send(call, n);
  call.end();
  const order = Array.from({ length: 20 }, (_, i) => i + 1);
  expect((await answers).flat()).toEqual(order);
  expect(written).toEqual(order);
});

it('writes an edit, which takes time to prepare, before later messages', async () => {
  const store = new HeldStore();
  const call = await open(store.take);
  const answers = answersOf(call);
  call.write({ items: [{ generationId: 'g1', edit: { text: 'better', score: 1 } }] });
  send(call, 2);
  await store.waitFor(1);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(store.commits).toHaveLength(1);
  store.commits[0]?.done();
  await store.waitFor(2);
  store.commits[1]?.done();
  call.end();
  expect((await answers).flat()).toEqual([0, 2]);
});

it('answers the messages before a failing one, then ends the call', async () => {
  const call = await open(async (items) => {
    if (items[0]?.score === 3) throw new HoneError('STORE_FULL', 'full');
    return stored(items);
  });
  const seen: number[] = [];
  call.on('data', ({ outcomes }) => seen.push(...outcomes.map(({ sequence = -1 }) => sequence)));
  const failed = once(call, 'error');
  for (const n of [1, 2, 3, 4]) send(call, n);
  expect((await failed)[0]).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(seen).toEqual([1, 2]);
});

it('takes a message with many items in pieces, in order and each in a turn of its own', async () => {
  const pieces: { readonly numbers: (number | undefined)[]; readonly firstIndex: number | undefined }[] = [];
  let turn = 0;
  let isCounting = false;
  const turns: number[] = [];
  const call = await open(async (items, firstIndex) => {
    pieces.push({ numbers: items.map(({ score: n }) => n), firstIndex });
    turns.push(turn);
    if (!isCounting) {
      isCounting = true;
      const count = (): void => {
        turn += 1;
        if (pieces.length < 9) setImmediate(count);
      };
      setImmediate(count);
    }
    return stored(items);
  });
  const answers = answersOf(call);
  const numbers = Array.from({ length: 1000 }, (_, i) => i);
  send(call, ...numbers);
  send(call, 1000);
  call.end();
  expect((await answers).flat()).toEqual([...numbers, 1000]);
  expect(pieces.map(({ numbers: { length } }) => length)).toEqual([...new Array(8).fill(125), 1]);
  expect(pieces.map(({ firstIndex }) => firstIndex)).toEqual([0, 125, 250, 375, 500, 625, 750, 875, 0]);
  expect(new Set(turns.slice(0, 8)).size).toBe(8);
});

it('hands a message with too many items over whole, so that it is refused', async () => {
  const lengths: number[] = [];
  const call = await open(async ({ length }) => {
    lengths.push(length);
    throw new HoneError('INVALID_REQUEST', 'too many');
  });
  call.on('data', () => undefined);
  send(call, ...Array.from({ length: 1001 }, (_, i) => i));
  const [error] = await once(call, 'error');
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT });
  expect(lengths).toEqual([1001]);
});

it('answers many refusals in several messages', async () => {
  const call = await open(async (items) =>
    items.map(() => ({ status: 'refused', error: new HoneError('GENERATION_NOT_FOUND', 'no such generation') })),
  );
  const answers: { readonly length: number; readonly positions: number[] }[] = [];
  call.on('data', ({ outcomes }: StreamFeedbackResponse__Output) =>
    answers.push({ length: outcomes.length, positions: outcomes.map(({ position }) => position) }),
  );
  send(call, ...Array.from({ length: 1000 }, (_, i) => i));
  call.end();
  await once(call, 'end');
  expect(answers.flatMap(({ positions }) => positions)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(Math.max(...answers.map(({ length }) => length))).toBeLessThanOrEqual(125);
});
