/** A caller that stops reading its stream: nothing is computed for it, others go on, and it is let go in the end. */

import { once } from 'node:events';
import { Client, type ClientReadableStream, credentials, status } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { expect, it, onTestFinished, vi } from 'vitest';
import { serviceDefinition } from '../../proto/contract.js';
import { startServer } from '../support/server.js';
import { makeLongPackage } from '../unit/policy/support.js';

it('a stream that is not read stops computing, gives its place up, and ends with READER_STALLED', async () => {
  const long = await makeLongPackage(4096);
  onTestFinished(long.remove);
  const server = await startServer({ args: ['--package', long.directory, '--max-stalled-ms', '1500'] });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const client = await server.connect();
  const raw = new Client(server.ready.address, credentials.createInsecure());
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
  const call: ClientReadableStream<{ started?: { generationIds: string[] } }> = raw.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize as (bytes: Buffer) => object,
    request,
  );
  const [first] = (await once(call, 'data')) as [{ started: { generationIds: string[] } }];
  call.pause();
  const [generationId = ''] = first.started.generationIds;

  await vi.waitFor(async () => expect((await client.status()).serving.runningSequences).toBe(0), { timeout: 20_000 });
  // Parked, not over: its tokens wait.
  expect((await client.getGeneration(generationId)).state).toBe('running');
  const { candidates } = await client.generate({ prompt: 'b', maxTokens: 3 });
  expect(candidates).toHaveLength(1);

  // Still unread, it is over for the server.
  await vi.waitFor(async () => expect((await client.getGeneration(generationId)).state).not.toBe('running'), {
    timeout: 20_000,
  });
  const ended = once(call, 'error');
  call.resume();
  const [error] = await ended;
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: expect.stringContaining('not read') });
  expect(['cancelled', 'aborted']).toContain((await client.getGeneration(generationId)).state);
});
