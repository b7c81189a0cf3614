/** The listening side of the door. */

import { once } from 'node:events';
import { connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { Server } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { listen } from '../../../server/grpc/connections.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function open(host: string, prefaceMs?: number) {
  const server = new Server();
  const listener = await listen(server, {
    host,
    port: 0,
    maxConnections: 10,
    onError: () => undefined,
    ...(prefaceMs && { prefaceMs }),
  });
  cleanups.push(() => {
    listener.close();
    server.forceShutdown();
  });
  return listener;
}

it('closes a connection that sends nothing, half a preface or another protocol, and keeps one that speaks HTTP/2', async () => {
  const { port } = await open('127.0.0.1', 200);
  const session = connect(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  await once(session, 'remoteSettings');
  for (const bytes of ['', 'PRI * HTTP/2.0', 'GET / HTTP/1.1\r\nhost: a\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00']) {
    const socket = connectSocket(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(bytes);
    await once(socket, 'close');
  }
  expect(session.closed || session.destroyed).toBe(false);
});

it('listens on every address of a name', async () => {
  const { port } = await open('localhost');
  const socket = connectSocket(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.destroy();
});

it('refuses an address that is taken, or that this machine does not have, with the remedy', async () => {
  const { port } = await open('127.0.0.1');
  const options = { host: '127.0.0.1', port, maxConnections: 1, onError: () => undefined };
  await expect(listen(new Server(), options)).rejects.toMatchObject({
    code: 'INVALID_OPTIONS',
    message: expect.stringMatching(/another program uses the port.*--port/),
  });
  await expect(listen(new Server(), { ...options, host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'INVALID_OPTIONS',
  });
  await expect(listen(new Server(), { ...options, host: 'no.such.host.invalid' })).rejects.toMatchObject({
    code: 'INVALID_OPTIONS',
    message: expect.stringContaining('cannot listen on no.such.host.invalid'),
  });
});
