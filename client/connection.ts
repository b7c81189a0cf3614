/**
 * The connection to a server. Each client has its own, so a connection that has died, or that is closed, is never that
 * of another client. HTTP/2 pings notice a peer that has gone silent; then the calls on it fail, and the next call
 * connects again.
 */

import { type ChannelCredentials, Client, connectivityState } from '@grpc/grpc-js';
import { HoneClientError } from './errors.js';
import { cancelled } from './retry.js';

/** Default of {@link ConnectionOptions.keepaliveMs}. */
export const defaultKeepaliveMs = 30_000;

/** Share of the time to notice a dead connection after which the ping is sent. The rest is the time for its answer. */
const pingShare = 2 / 3;

interface ConnectionOptions {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Longest time in milliseconds until a connection whose peer is silent counts as dead. */
  readonly keepaliveMs: number;
}

/** How long to wait for a connection. */
export interface Patience {
  /** Milliseconds since 1970. */
  readonly untilMs: number;
  /** Whether to wait also when an attempt to connect has failed. If not, the call itself reports the failure. */
  readonly overFailures: boolean;
}

export class Connection {
  readonly #options: ConnectionOptions;
  #client: Client;
  #closed = false;
  /** Since when there is no connection, milliseconds since 1970. Undefined while there is one. */
  #unreadySinceMs: number | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#client = openClient(options);
    this.#follow(this.#client);
  }

  /** What makes calls. @throws HoneClientError `CANCELLED` if the connection was closed */
  get client(): Client {
    if (!this.#closed) return this.#client;
    throw closedError();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Longest time in milliseconds until a silent peer is noticed. */
  get keepaliveMs(): number {
    return this.#options.keepaliveMs;
  }

  /**
   * Resolves when there is a connection.
   * @throws HoneClientError `UNAVAILABLE` if there is none in time, so that nothing was sent
   */
  async ready({ untilMs, overFailures }: Patience, signal?: AbortSignal): Promise<void> {
    for (;;) {
      if (signal?.aborted) throw cancelled(signal);
      const state = this.client.getChannel().getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (!overFailures && state === connectivityState.TRANSIENT_FAILURE) return;
      const now = Date.now();
      if (now >= untilMs) throw this.#unreachable();
      const renewAtMs = (this.#unreadySinceMs ?? now) + this.keepaliveMs;
      if (now >= renewAtMs) this.#renew();
      else await this.#nextState(Math.min(untilMs, renewAtMs) - now, signal);
    }
  }

  /** Closes the connection. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#client.close();
    this.#wake();
  }

  /** The library waits without limit for a peer that takes a connection and never says a word of HTTP/2. */
  #renew(): void {
    const stuck = this.#client;
    this.#unreadySinceMs = undefined;
    this.#client = openClient(this.#options);
    this.#follow(this.#client);
    stuck.close();
  }

  #follow(client: Client): void {
    if (this.#closed || client !== this.#client) return;
    const channel = client.getChannel();
    const state = channel.getConnectivityState(false);
    this.#unreadySinceMs = state === connectivityState.READY ? undefined : (this.#unreadySinceMs ?? Date.now());
    this.#wake();
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => this.#follow(client));
  }

  #nextState(longestMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        this.#waiting.delete(end);
        resolve();
      };
      const timer = setTimeout(end, longestMs);
      signal?.addEventListener('abort', end, { once: true });
      this.#waiting.add(end);
    });
  }

  #wake(): void {
    for (const end of this.#waiting) end();
  }

  #unreachable(): HoneClientError {
    return new HoneClientError(`no Hone server answers at ${this.#options.address}`, {
      code: 'UNAVAILABLE',
      status: 'UNAVAILABLE',
    });
  }
}

/** The error of a call of a client that was closed. */
export function closedError(): HoneClientError {
  return new HoneClientError('the client is closed: connect again', { code: 'CANCELLED', status: 'CANCELLED' });
}

function openClient({ address, credentials, keepaliveMs }: ConnectionOptions): Client {
  const pingAfterMs = Math.round(keepaliveMs * pingShare);
  return new Client(address, credentials, {
    // An answer with n completions and all log-probabilities may exceed the library's default of 4 MiB.
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    // By default, all clients of a process share one connection to an address.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.keepalive_time_ms': pingAfterMs,
    'grpc.keepalive_timeout_ms': keepaliveMs - pingAfterMs,
    'grpc.keepalive_permit_without_calls': 1,
    // The library's own waits grow to two minutes, so a client would come back long after its server.
    'grpc.initial_reconnect_backoff_ms': 250,
    'grpc.max_reconnect_backoff_ms': 2000,
  });
}
