import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { expect, it } from 'vitest';
import { serviceDefinition } from '../../../proto/contract.js';
import { feedbackHandlers } from '../../../server/grpc/feedback.js';
import type { Agent } from '../../../src/agent/index.js';
import { HoneError } from '../../../src/errors.js';

it('reports no failure of the server if a feedback stream is cancelled while the queue is full', async () => {
  const reported: HoneError[] = [];
  let asked = (): void => undefined;
  const waiting = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const full: Pick<Agent, 'feedback'> = {
    async feedback() {
      asked();
      throw new HoneError('QUEUE_FULL', 'full', { retryAfterMs: 60_000 });
    },
  };
  const definition = serviceDefinition('FeedbackService') as ServiceDefinition & {
    StreamFeedback: MethodDefinition<object, object>;
  };
  const server = new Server();
  server.addService(definition, { ...feedbackHandlers(full as Agent, (_, error) => reported.push(error)) });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = definition.StreamFeedback;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const ended = new Promise((resolve) => call.once('status', resolve));
  call.on('error', () => undefined);
  call.write({ items: [{ generationId: 'any', score: 1 }] });
  await waiting;
  call.cancel();
  await ended;
  client.close();
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  expect(reported).toEqual([]);
});
