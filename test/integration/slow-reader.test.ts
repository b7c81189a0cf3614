/** A caller that stops reading its stream: nothing is computed for it, others go on, and it is let go in the end. */

import { once } from 'node:events';
import { Client, type ClientReadableStream, credentials, status } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { expect, it, onTestFinished } from 'vitest';
import { serviceDefinition } from '../../proto/contract.js';
import { endlessArgs } from '../support/endless.js';
import { startServer } from '../support/server.js';
import { until } from '../support/until.js';

type Message = { started?: { generationIds: string[] } };

interface Unread {
  readonly call: ClientReadableStream<Message>;
  readonly generationId: string;
  /** The error that ends it, which may come at any time from the start on. */
  readonly ended: Promise<Error>;
}

/** A stream whose caller has read its first message and no more. */
async function openUnread(address: string): Promise<Unread> {
  const raw = new Client(address, credentials.createInsecure());
  onTestFinished(() => raw.close());
  const { path, requestSerialize, responseDeserialize } = serviceDefinition('GenerationService')
    .StreamGenerate as MethodDefinition<object, object>;
  const request = {
    prompt: 'a',
    n: 16,
    logprobs: true,
    topLogprobs: 20,
    sampling: { maxTokens: 4000, ignoreEos: true },
  };
  const call: ClientReadableStream<Message> = raw.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize as (bytes: Buffer) => object,
    request,
  );
  const ended = new Promise<Error>((resolve) => call.on('error', resolve));
  const [first] = (await once(call, 'data')) as [Message];
  call.pause();
  return { call, generationId: first.started?.generationIds[0] ?? '', ended };
}

it('a stream that is not read stops computing and gives its place up', async () => {
  await using server = await startServer({ args: await endlessArgs() });
  const client = await server.connect();
  const { call, generationId } = await openUnread(server.ready.address);
  await until(async () => (await client.status()).serving.runningSequences === 0, 'nothing is computed');
  // Parked, not over: its tokens wait.
  expect((await client.getGeneration(generationId)).state).toBe('running');
  const { completions } = await client.generate({ prompt: 'b', maxTokens: 3 });
  expect(completions).toHaveLength(1);
  call.cancel();
});

it('a stream that is not read for too long ends with READER_STALLED', async () => {
  await using server = await startServer({ args: [...(await endlessArgs()), '--max-stalled-ms', '300'] });
  const client = await server.connect();
  const { call, generationId, ended } = await openUnread(server.ready.address);
  // Still unread, it is over for the server.
  await until(async () => (await client.getGeneration(generationId)).state !== 'running', 'the server has ended it');
  call.resume();
  expect(await ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: expect.stringContaining('not read') });
  expect(['cancelled', 'aborted']).toContain((await client.getGeneration(generationId)).state);
});
