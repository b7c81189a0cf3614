/** A call whose request never comes does not stay open. */

import { once } from 'node:events';
import { connect } from 'node:http2';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { serviceDefinition } from '../../../proto/contract.js';
import { checkedDecoding } from '../../../server/grpc/checked-decoding.js';
import { createInterceptor, type FinishedCall } from '../../../server/grpc/interceptor.js';

it('a call is ended if its one request does not arrive in time, and a stream of requests is not', async () => {
  const ended: FinishedCall[] = [];
  const identity = () => ({ version: 0, adapterDigest: 'a', packageDigest: 'p' });
  const interceptor = createInterceptor({
    identity,
    authToken: undefined,
    onCall: (call) => ended.push(call),
    requestMs: 50,
  });
  const server = new Server({ interceptors: [interceptor] });
  const never = () => undefined;
  server.addService(checkedDecoding(serviceDefinition('FeedbackService')), {
    SubmitFeedback: never,
    StreamFeedback: never,
    ExplainGeneration: never,
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const session = connect(`http://127.0.0.1:${port}`);
  const open = (method: string) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/hone.v1.FeedbackService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    stream.resume();
    return stream;
  };
  const streaming = open('StreamFeedback');
  const unary = open('SubmitFeedback');
  const [trailers] = await once(unary, 'trailers');
  expect(trailers).toMatchObject({ 'grpc-status': '4', 'grpc-message': expect.stringContaining('0.05') });
  expect(ended.map(({ path }) => path)).toEqual(['/hone.v1.FeedbackService/SubmitFeedback']);
  expect(streaming.closed).toBe(false);
  session.destroy();
  server.forceShutdown();
});
