/** Requests of reflection are bounded, and answered no faster than they are read. The transport is real. */

import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import {
  ResponderBuilder,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { fullName, serviceNames } from '../../../proto/contract.js';
import { createInterceptor } from '../../../server/grpc/interceptor.js';
import { addReflection } from '../../../server/grpc/reflection.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A server with reflection that counts the requests that its handlers take in. */
async function serve() {
  let taken = 0;
  const interceptor = createInterceptor({
    identity: () => ({ version: 0, adapterDigest: 'a', packageDigest: 'p' }),
    authToken: undefined,
    onCall: () => undefined,
  });
  const server = new Server({
    interceptors: [
      interceptor,
      (_, nextCall) =>
        new ServerInterceptingCall(
          nextCall,
          new ResponderBuilder()
            .withStart((next) =>
              next(
                new ServerListenerBuilder()
                  .withOnReceiveMessage((message, pass) => {
                    taken += 1;
                    pass(message);
                  })
                  .build(),
              ),
            )
            .build(),
        ),
    ],
  });
  addReflection(
    server,
    async () => (await import('../../../proto/description.js')).description,
    serviceNames.map(fullName),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(() => server.forceShutdown());
  const open = (initialWindowSize: number): ClientHttp2Session => {
    const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize } });
    cleanups.push(() => session.destroy());
    return session;
  };
  return { open, taken: () => taken };
}

function call(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  return session.request(headers).on('error', () => undefined);
}

const reflect = (session: ClientHttp2Session) =>
  call(session, '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo');

/** A request for the file that holds a symbol, in its frame. */
function frame(symbol: string): Buffer {
  const name = Buffer.from(symbol);
  const tag = name.length < 128 ? [0x22, name.length] : [0x22, (name.length & 127) | 128, name.length >> 7];
  const head = Buffer.alloc(5);
  head.writeUInt32BE(tag.length + name.length, 1);
  return Buffer.concat([head, Buffer.from(tag), name]);
}

/** Ends the requests, reads all answers and returns their number and the trailers. */
async function readAll(stream: ClientHttp2Stream) {
  const pieces: Buffer[] = [];
  stream.on('data', (piece: Buffer) => pieces.push(piece));
  stream.end();
  const [trailers] = await once(stream, 'trailers');
  const bytes = Buffer.concat(pieces);
  let answers = 0;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) answers += 1;
  return { answers, status: trailers['grpc-status'], message: decodeURIComponent(trailers['grpc-message'] ?? '') };
}

it('a tool that reads no answers is not read from either, and gets all of them when it reads', async () => {
  const { open, taken } = await serve();
  // The descriptors are made at the first call.
  const first = reflect(open(65_535));
  first.write(frame('hone.v1.VersionService'));
  expect(await readAll(first)).toMatchObject({ answers: 1, status: '0' });

  const session = open(0);
  const before = taken();
  const stream = reflect(session);
  for (let i = 0; i < 200; i++) stream.write(frame('hone.v1.VersionService'));
  // Each of these calls is answered without data, after the frames that were sent before it.
  for (let i = 0; i < 50; i++) await once(call(session, '/no.Such/Method').end(), 'response');
  // One is being answered. The library reads 16 ahead.
  expect(taken() - before).toBeGreaterThan(0);
  expect(taken() - before).toBeLessThan(20);
  session.settings({ initialWindowSize: 65_535 });
  expect(await readAll(stream)).toMatchObject({ answers: 200, status: '0' });
});

it('a request of reflection of more than 4096 bytes is refused, and a smaller one is answered', async () => {
  const { open } = await serve();
  const session = open(65_535);
  const small = reflect(session);
  small.write(frame('a'.repeat(4093)));
  expect(await readAll(small)).toMatchObject({ answers: 1, status: '0' });
  const large = reflect(session);
  large.write(frame('a'.repeat(4094)));
  expect(await readAll(large)).toMatchObject({ answers: 0, status: '3', message: expect.stringContaining('4096') });
});
