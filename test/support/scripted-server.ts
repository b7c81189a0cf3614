/** A real gRPC server with the contract, whose answers a test scripts. It can fail in ways in which the real one rarely does. */

import { Metadata, Server, ServerCredentials, type ServiceError, status, type UntypedHandleCall } from '@grpc/grpc-js';
import { type ConnectOptions, connect, type HoneClient } from '../../client/index.js';
import { encodeMessage, services } from '../../proto/contract.js';

const serialize = (name: string, value: object): Buffer => encodeMessage(`google.rpc.${name}`, value);

/** The details of {@link richError}. */
export interface RichError {
  readonly code: keyof typeof status;
  readonly message: string;
  readonly reason?: string;
  readonly violations?: readonly { readonly field: string; readonly description: string }[];
  readonly retryAfterMs?: number;
}

/** Makes a `google.rpc.Status` with details. */
export function richStatus({ code, message, reason, violations, retryAfterMs }: RichError): object {
  const pack = (name: string, value: object): object => ({
    type_url: `type.googleapis.com/google.rpc.${name}`,
    value: serialize(name, value),
  });
  return {
    code: status[code],
    message,
    details: [
      ...(reason === undefined ? [] : [pack('ErrorInfo', { reason, domain: 'hone' })]),
      ...(violations === undefined ? [] : [pack('BadRequest', { fieldViolations: violations })]),
      ...(retryAfterMs === undefined
        ? []
        : [
            pack('RetryInfo', {
              retryDelay: { seconds: Math.floor(retryAfterMs / 1000), nanos: (retryAfterMs % 1000) * 1e6 },
            }),
          ]),
    ],
  };
}

/** Makes an error with which a handler ends a call as the real server does. */
export function richError(error: RichError): ServiceError {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', serialize('Status', richStatus(error)));
  return Object.assign(new Error(error.message), { code: status[error.code], details: error.message, metadata });
}

export interface ScriptedServer {
  readonly address: string;
  connect(options?: ConnectOptions): Promise<HoneClient>;
  close(): void;
}

/** Handlers by service and method. Methods without a handler answer UNIMPLEMENTED. */
export type Script = { readonly [Name in keyof typeof services]?: Record<string, unknown> };

/** Starts the server on a free port of the loopback address. */
export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const server = new Server();
  for (const [name, handlers] of Object.entries(script)) {
    server.addService(services[name as keyof typeof services], handlers as Record<string, UntypedHandleCall>);
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const address = `127.0.0.1:${port}`;
  const clients: HoneClient[] = [];
  return {
    address,
    async connect(options = {}) {
      const client = await connect({ address, retry: { baseDelayMs: 1 }, ...options });
      clients.push(client);
      return client;
    },
    close() {
      for (const client of clients) client.close();
      server.forceShutdown();
    },
  };
}
