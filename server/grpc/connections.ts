/**
 * The listening side of the door: takes connections, bounds them, and hands them to the gRPC server.
 *
 * A connection that does not speak HTTP/2 soon is closed, so that clients which connect and send nothing cannot take
 * all places. Resets of calls in a row are bounded by Node itself, which then ends the connection.
 */

import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, isIP, type Server as NetServer, type Socket } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';

/** Bytes with which HTTP/2 begins. */
const prefaceBytes = 24;

/** How long a connection may take to begin with HTTP/2. */
const defaultPrefaceMs = 10_000;

export interface Listener {
  readonly port: number;
  /** Takes no new connections. Those that are open stay. */
  close(): void;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Most connections at the same time. Further ones are closed at once. */
  readonly maxConnections: number;
  /** Called with errors of the system while connections are taken, such as too many open files. */
  readonly onError: (error: Error) => void;
  /** Default 10 000. */
  readonly prefaceMs?: number;
}

/**
 * Listens on every address of the host that this machine has.
 * @throws HoneError `INVALID_OPTIONS` if there is none, or the port is taken on one of them
 */
export async function listen(server: Server, options: ListenerOptions): Promise<Listener> {
  const { host, maxConnections, onError, prefaceMs = defaultPrefaceMs } = options;
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  let connections = 0;
  const take = (socket: Socket): void => {
    if (connections >= maxConnections) {
      socket.destroy();
      return;
    }
    connections += 1;
    socket.once('close', () => {
      connections -= 1;
    });
    // Small messages leave at once, as the library's own listener has it.
    socket.setNoDelay(true);
    const late = setTimeout(() => {
      if (socket.bytesRead < prefaceBytes) socket.destroy();
    }, prefaceMs).unref();
    socket.once('close', () => clearTimeout(late));
    injector.injectConnection(socket);
  };
  const listeners: NetServer[] = [];
  let { port } = options;
  let refusal: Error | undefined;
  for (const address of await addressesOf(host)) {
    const listener = createServer(take);
    try {
      listener.listen({ host: address, port });
      await once(listener, 'listening');
    } catch (error) {
      listener.close();
      refusal ??= error as Error;
      // A name may stand for addresses, or kinds of them, that this machine does not have.
      if (['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((error as NodeJS.ErrnoException).code ?? '')) continue;
      for (const open of listeners) open.close();
      throw cannotListen(host, options.port, error as Error);
    }
    listener.on('error', onError);
    listeners.push(listener);
    ({ port } = listener.address() as { port: number });
  }
  if (listeners.length === 0) throw cannotListen(host, options.port, refusal ?? new Error('the name has no address'));
  return {
    port,
    close() {
      for (const listener of listeners) listener.close();
    },
  };
}

async function addressesOf(host: string): Promise<Iterable<string>> {
  if (isIP(host) !== 0) return [host];
  try {
    return new Set((await lookup(host, { all: true })).map(({ address }) => address));
  } catch (error) {
    throw cannotListen(host, undefined, error as Error);
  }
}

function cannotListen(host: string, port: number | undefined, error: Error): HoneError {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  const address = port === undefined ? name : `${name}:${port}`;
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const reason = isTaken
    ? 'another program uses the port; stop it or choose another port with --port (0 takes a free one)'
    : error.message;
  return new HoneError('INVALID_OPTIONS', `cannot listen on ${address}: ${reason}`, { cause: error });
}
