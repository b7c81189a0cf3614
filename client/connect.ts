/** Connects to a server and returns a client. */

import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { Calls } from './calls.js';
import { checkConnectOptions } from './check-arguments.js';
import { HoneClient } from './client.js';
import { Connection, defaultKeepaliveMs } from './connection.js';
import { HoneClientError } from './errors.js';
import type { ConnectOptions, TlsOptions } from './types/index.js';

/** The default address of `hone serve`. */
export const defaultAddress = '127.0.0.1:50051';

/**
 * Opens a connection of its own. Close the client after use; `await using` does it.
 * @throws HoneClientError `UNAVAILABLE` if no server answers within `connectTimeoutMs`; `INVALID_REQUEST` if an option is
 * unknown or makes no sense
 */
export async function connect(options: ConnectOptions = {}): Promise<HoneClient> {
  checkConnectOptions(options);
  const { address = defaultAddress, token, timeoutMs = 60_000, retry = {}, connectTimeoutMs = 5000 } = options;
  const connection = open(address, options);
  try {
    await connection.ready({ untilMs: Date.now() + connectTimeoutMs, overFailures: true });
  } catch (thrown) {
    connection.close();
    throw HoneClientError.from(thrown);
  }
  return new HoneClient(new Calls(connection, { token, timeoutMs, retry }));
}

/** @throws HoneClientError `INVALID_REQUEST` if the library cannot read the address or a PEM buffer */
function open(address: string, { tls = false, keepaliveMs = defaultKeepaliveMs }: ConnectOptions): Connection {
  try {
    return new Connection({ address, credentials: createCredentials(tls), keepaliveMs });
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new HoneClientError(`the options of connect are invalid: ${reason}`, {
      code: 'INVALID_REQUEST',
      status: 'INVALID_ARGUMENT',
      cause: thrown,
    });
  }
}

function createCredentials(tls: TlsOptions): ChannelCredentials {
  if (tls === false) return credentials.createInsecure();
  const { rootCertificates, privateKey, certificateChain } = tls === true ? {} : tls;
  return credentials.createSsl(rootCertificates ?? null, privateKey ?? null, certificateChain ?? null);
}
