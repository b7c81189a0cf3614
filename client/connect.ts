/** Connects to a server and returns a client. */

import { type ChannelCredentials, Client, credentials } from '@grpc/grpc-js';
import { Calls } from './calls.js';
import { HoneClient } from './client.js';
import { HoneClientError } from './errors.js';
import type { RetryOptions } from './retry.js';

/** TLS: `true` trusts the system's authorities; PEM buffers give an authority and a client certificate with its key. */
export type TlsOptions =
  | boolean
  | { readonly rootCertificates?: Buffer; readonly certificateChain?: Buffer; readonly privateKey?: Buffer };

/** How to reach a server. */
export interface ConnectOptions {
  /** `host:port`. Default `127.0.0.1:50051`. */
  readonly address?: string;
  /** Sent as `authorization: Bearer <token>`. */
  readonly token?: string;
  /** Default: no TLS. */
  readonly tls?: TlsOptions;
  /** Milliseconds to wait for the connection. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** Deadline of unary calls in milliseconds. Default 60000. */
  readonly timeoutMs?: number;
  readonly retry?: RetryOptions;
}

/** The default address of `hone serve`. */
export const defaultAddress = '127.0.0.1:50051';

/**
 * Opens a connection. Close the client after use; `await using` does it.
 * @throws HoneClientError `UNAVAILABLE` if no server answers within `connectTimeoutMs`
 */
export async function connect(options: ConnectOptions = {}): Promise<HoneClient> {
  const address = options.address ?? defaultAddress;
  const connection = new Client(address, createCredentials(options.tls ?? false), {
    // An answer with n completions and all log-probabilities may exceed the library's default of 4 MiB.
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
  });
  await new Promise<void>((resolve, reject) => {
    connection.waitForReady(Date.now() + (options.connectTimeoutMs ?? 5000), (error) => {
      if (error === undefined || error === null) {
        resolve();
        return;
      }
      connection.close();
      reject(
        new HoneClientError(`no Hone server answers at ${address}`, {
          code: 'UNAVAILABLE',
          status: 'UNAVAILABLE',
          cause: error,
        }),
      );
    });
  });
  const { token, timeoutMs = 60_000, retry = {} } = options;
  return new HoneClient(new Calls(connection, { token, timeoutMs, retry }));
}

function createCredentials(tls: TlsOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure();
  const { rootCertificates, privateKey, certificateChain } = tls === true ? {} : tls;
  return credentials.createSsl(rootCertificates ?? null, privateKey ?? null, certificateChain ?? null);
}
