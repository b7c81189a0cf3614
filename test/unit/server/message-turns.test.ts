/** Messages of a stream that arrive together, against a real gRPC server. */

import { once } from 'node:events';
import { connect } from 'node:http2';
import { Server, ServerCredentials, type ServerDuplexStream, ServerInterceptingCall } from '@grpc/grpc-js';
import { expect, it, onTestFinished } from 'vitest';
import { MessageTurns } from '../../../server/grpc/message-turns.js';

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Opens a method that streams, and a function that sends it bytes. */
async function open(onMessage: (message: Buffer) => unknown, onPart: (bytes: number) => unknown = () => undefined) {
  const turns = new MessageTurns();
  const server = new Server({
    interceptors: [
      (_method, nextCall) => {
        const { stream } = nextCall as unknown as { stream: Parameters<MessageTurns['spread']>[0] };
        turns.spread(stream, onPart);
        return new ServerInterceptingCall(nextCall);
      },
    ],
  });
  const same = (bytes: Buffer): Buffer => bytes;
  const method = {
    path: '/test.Echo/Stream',
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Stream: method },
    {
      Stream: (call: Call) => {
        call.on('data', onMessage);
        call.on('end', () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => {
    session.destroy();
    server.forceShutdown();
  });
  const send = async (pieces: readonly Buffer[]): Promise<void> => {
    const headers = { ':method': 'POST', ':path': method.path, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = session.request(headers);
    stream.resume();
    for (const piece of pieces) stream.write(piece);
    stream.end();
    await once(stream, 'close');
  };
  return { send };
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

it('hands over every message, whole and in order, wherever the parts are cut', async () => {
  const received: string[] = [];
  const { send } = await open((message) => received.push(message.toString('latin1')));
  const sent = Array.from({ length: 400 }, (_, i) => Buffer.alloc((i * 37) % 701, 97 + (i % 26)));
  const bytes = Buffer.concat(sent.map(framed));
  const pieces: Buffer[] = [];
  for (let at = 0, size = 1; at < bytes.length; at += size, size = 1 + ((size * 31) % 997)) {
    pieces.push(bytes.subarray(at, at + size));
  }
  await send(pieces);
  expect(received).toEqual(sent.map((message) => message.toString('latin1')));
});

it('hands over a kilobyte of small messages in a turn, and a large message at once', async () => {
  let received = 0;
  let inTurn = 0;
  let most = 0;
  const onPart = (bytes: number): void => {
    if (inTurn === 0) {
      setImmediate(() => {
        most = Math.max(most, inTurn);
        inTurn = 0;
      });
    }
    inTurn += bytes;
  };
  const small = await open(() => (received += 1), onPart);
  await small.send([Buffer.concat(new Array<Buffer>(10_000).fill(framed(Buffer.alloc(0))))]);
  expect(received).toBe(10_000);
  // The part of the turn before may be counted in this one.
  expect(most).toBeLessThanOrEqual(2 * 1030);
  const parts: number[] = [];
  const large = await open(
    ({ length }) => expect(length).toBe(300_000),
    (bytes) => parts.push(bytes),
  );
  await large.send([framed(Buffer.alloc(300_000))]);
  expect(Math.max(...parts)).toBeGreaterThan(10_000);
});
