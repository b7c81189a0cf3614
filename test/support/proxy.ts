/** A TCP proxy in front of a server, which can go silent as a broken network does: nothing arrives, and nothing closes. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface SilentProxy {
  readonly address: string;
  /** Number of connections that callers have opened. */
  readonly accepted: number;
  /** Number of them that their callers have closed. */
  readonly closed: number;
  /** Number of pieces of data that callers have sent and that were forwarded. */
  readonly sent: number;
  /** Drops every byte from now on, in both directions, of the connections that are open and of new ones. */
  goSilent(): void;
  /** Forwards the connections that are opened from now on. The ones of before stay silent. */
  recover(): void;
  close(): void;
}

/** Starts the proxy on a free port of the loopback address. */
export async function startProxy(target: string): Promise<SilentProxy> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(target) ?? [];
  const sockets = new Set<Socket>();
  let silent = false;
  let accepted = 0;
  let closed = 0;
  let sent = 0;
  // Each connection has its own mark, so that one that was silent once never speaks again.
  const marks = new Set<{ silent: boolean }>();
  const server = createServer((caller) => {
    accepted += 1;
    const mark = { silent };
    marks.add(mark);
    const upstream = connect(Number(port), host);
    for (const [from, to] of [
      [caller, upstream],
      [upstream, caller],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => {
        if (mark.silent) return;
        if (from === caller) sent += 1;
        to.write(bytes);
      });
      from.on('error', () => undefined);
    }
    caller.on('close', () => {
      closed += 1;
      upstream.destroy();
    });
    upstream.on('close', () => {
      if (!mark.silent) caller.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get accepted() {
      return accepted;
    },
    get closed() {
      return closed;
    },
    get sent() {
      return sent;
    },
    goSilent() {
      silent = true;
      for (const mark of marks) mark.silent = true;
    },
    recover() {
      silent = false;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Returns a port that was free a moment ago, for a server that keeps its port when it starts again. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
