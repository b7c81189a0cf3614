/** If a caller stops reading its stream, the server computes nothing for it, others continue, and the stream ends after a time. */

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
  /** The error that ends the stream. It may come at any time from the start on. */
  readonly ended: Promise<Error>;
}

/** Starts a stream whose caller only reads the first message. */
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

it('a stream that is not read stops computing and frees its slot', async () => {
  await using server = await startServer({ args: await endlessArgs() });
  const client = await server.connect();
  const { call, generationId } = await openUnread(server.ready.address);
  await until(async () => (await client.status()).serving.runningSequences === 0, 'nothing is computed');
  // The stream is parked, and its tokens wait.
  expect((await client.getGeneration(generationId)).state).toBe('running');
  const { completions } = await client.generate({ prompt: 'b', maxTokens: 3 });
  expect(completions).toHaveLength(1);
  call.cancel();
});

it('a stream that is not read for a long time ends with READER_STALLED', async () => {
  await using server = await startServer({ args: [...(await endlessArgs()), '--max-stalled-ms', '300'] });
  const client = await server.connect();
  const { call, generationId, ended } = await openUnread(server.ready.address);
  // The server has ended the stream, although its reader has not noticed.
  await until(async () => (await client.getGeneration(generationId)).state !== 'running', 'the server has ended it');
  call.resume();
  expect(await ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: expect.stringContaining('not read') });
  expect(['cancelled', 'aborted']).toContain((await client.getGeneration(generationId)).state);
});
