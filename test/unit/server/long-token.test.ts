/** The longest token that a server takes lets its callers in. The transport is real. */

import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { serviceDefinition } from '../../../proto/contract.js';
import { createInterceptor } from '../../../server/grpc/interceptor.js';
import { RawClient } from '../../support/raw-client.js';

it('a caller with a token of 256 characters is let in, and one whose token differs in the last is not', async () => {
  const identity = () => ({ version: 0, adapterDigest: 'a', packageDigest: 'p' });
  const authToken = 't'.repeat(256);
  const server = new Server({ interceptors: [createInterceptor({ identity, authToken, onCall: () => undefined })] });
  server.addService(serviceDefinition('VersionService'), {});
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new RawClient(`127.0.0.1:${port}`);
  const codes: number[] = [];
  for (const token of [authToken, `${'t'.repeat(255)}u`]) {
    const headers = { authorization: `Bearer ${token}` };
    const { status: ended } = await client.call('VersionService', 'GetVersion', { number: 1 }, { headers });
    codes.push(ended.code);
  }
  // The first one was let in, to a method without a handler.
  expect(codes).toEqual([status.UNIMPLEMENTED, status.UNAUTHENTICATED]);
  client.close();
  server.forceShutdown();
});
