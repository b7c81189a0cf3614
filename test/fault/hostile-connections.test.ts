/** What one client may do with connections, calls and bytes, while another client is served. */

import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

const token = 'a-long-enough-token';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(args: readonly string[] = [], env: Record<string, string> = {}): Promise<TestServer> {
  const server = await startServer({ args: [...args], env });
  cleanups.push(() => server[Symbol.asyncDispose]());
  return server;
}

async function openSession(server: TestServer): Promise<ClientHttp2Session> {
  const session = connect(`http://${server.ready.address}`);
  session.on('error', () => undefined);
  cleanups.push(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

function openSocket(server: TestServer): Socket {
  const [host = '', port = ''] = server.ready.address.split(':');
  const socket = connectSocket(Number(port), host);
  socket.on('error', () => undefined);
  cleanups.push(() => socket.destroy());
  return socket;
}

function openCall(session: ClientHttp2Session, path: string, headers: object = {}): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/hone.v1.${path}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  stream.resume();
  return stream;
}

/** Unlike `once` of Node, this waits for the end behind an error. */
const closed = (it: Socket | ClientHttp2Session | ClientHttp2Stream) =>
  new Promise((resolve) => it.once('close', resolve));

/** The beginning of a message of `size` bytes, as gRPC frames it. */
function begin(size: number): Buffer {
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(size, 1);
  return frame;
}

it('closes connections beyond the bound at once, and takes others when one has ended', async () => {
  const server = await serve(['--max-connections', '2']);
  const [first] = [await openSession(server), await openSession(server)];
  const third = openSocket(server);
  await closed(third);
  expect(third.bytesRead).toBe(0);
  first.destroy();
  await until(async () => {
    const socket = openSocket(server);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    return new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true));
      socket.once('close', () => resolve(false));
    });
  }, 'a connection is taken again');
});

it('gives one connection 512 calls at a time, and lets further ones wait', async () => {
  const server = await serve();
  const session = await openSession(server);
  expect(session.remoteSettings.maxConcurrentStreams).toBe(512);
  const watching = Array.from({ length: 512 }, () => {
    const stream = openCall(session, 'EventService/WatchEvents');
    stream.end(begin(0));
    return stream;
  });
  await Promise.all(watching.map((stream) => once(stream, 'response')));
  const waiting = openCall(session, 'AdminService/GetMode');
  waiting.end(begin(0));
  let answered = false;
  waiting.once('response', () => {
    answered = true;
  });
  // Another connection is served meanwhile.
  const other = await server.connect();
  expect(await other.status()).toBeDefined();
  expect(answered).toBe(false);
  watching[0]?.close(constants.NGHTTP2_CANCEL);
  // Node refuses a call that comes while it still puts away the one that has ended.
  await closed(waiting);
  watching[1]?.close(constants.NGHTTP2_CANCEL);
  await until(() => {
    const next = openCall(session, 'AdminService/GetMode');
    next.end(begin(0));
    return new Promise<boolean>((resolve) => {
      next.once('response', () => resolve(true));
      next.once('close', () => resolve(false));
    });
  }, 'a call is taken again');
});

it('ends a connection that resets thousands of calls, and serves the others', async () => {
  const server = await serve();
  const other = await server.connect();
  const session = await openSession(server);
  const ended = closed(session);
  for (let i = 0; i < 3000 && !session.destroyed && !session.closed; i++) {
    openCall(session, 'StatusService/GetServerStatus').close(constants.NGHTTP2_CANCEL);
    // The client itself keeps to the bound of calls at a time.
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  expect(await other.status()).toBeDefined();
});

it('ends the calls with which one connection holds too many bytes of incomplete messages', async () => {
  const server = await serve();
  const session = await openSession(server);
  const size = 4 * 1024 * 1024;
  const calls = Array.from({ length: 8 }, () => {
    const stream = openCall(session, 'GenerationService/Generate');
    stream.write(begin(size));
    stream.write(Buffer.alloc(size - 1));
    return stream;
  });
  await until(() => calls.some((stream) => stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM), 'a call is ended');
  // The connection goes on, and so do the calls that fit.
  const mode = openCall(session, 'AdminService/GetMode');
  mode.end(begin(0));
  await once(mode, 'response');
  expect(calls.filter((stream) => !stream.destroyed).length).toBeGreaterThanOrEqual(1);
});

it('counts requests whose callers never end their side, and serves other connections meanwhile', async () => {
  const server = await serve();
  const message = Buffer.alloc(4_000_000, 0x61);
  // `service` of a health check, a text of four million letters.
  const request = Buffer.concat([begin(message.length + 5), Buffer.from([0x0a, 0x80, 0x92, 0xf4, 0x01]), message]);
  const sessions = await Promise.all(Array.from({ length: 6 }, () => openSession(server)));
  const calls = sessions.flatMap((session) =>
    Array.from({ length: 4 }, () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined);
      stream.resume();
      stream.write(request);
      return stream;
    }),
  );
  await until(() => calls.some((stream) => stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM), 'a call is ended');
  const other = await server.connect();
  expect(await other.status()).toBeDefined();
  // One that is ended by its caller is answered, however large.
  const left = calls.find((stream) => !stream.destroyed && !stream.closed);
  left?.end();
  if (left !== undefined) await closed(left);
});

it('refuses a caller without the token from its headers, whatever body it announces', async () => {
  const server = await serve([], { HONE_AUTH_TOKEN: token });
  const session = await openSession(server);
  for (const path of ['GenerationService/Generate', 'FeedbackService/StreamFeedback', 'AdminService/ImportReplay']) {
    const stream = openCall(session, path);
    stream.write(begin(4 * 1024 * 1024));
    const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve));
    expect(await trailers).toMatchObject({ 'grpc-status': '16' });
    stream.close();
  }
});

it('closes the connection of a client that does not answer a ping', async () => {
  const server = await serve(['--keepalive-ms', '1000']);
  const socket = openSocket(server);
  // The preface and empty settings; no ping of the server is answered.
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  socket.resume();
  await closed(socket);
});

it('stops although connections broke off before they began with HTTP/2', async () => {
  const server = await serve();
  for (const bytes of ['', 'PRI * HT', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01']) {
    for (let i = 0; i < 20; i++) {
      const socket = openSocket(server);
      await once(socket, 'connect');
      socket.write(bytes);
      socket.resetAndDestroy();
    }
  }
  expect(await server.stop()).toBe(0);
});
