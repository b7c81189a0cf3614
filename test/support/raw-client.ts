/** Makes bare calls, to test what the client library hides: initial metadata, trailers, statuses, reflection. */

import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader';
import { type ServiceName, serviceDefinition } from '../../proto/contract.js';

/** The messages, the metadata and the status of a call. */
interface RawResult {
  readonly messages: Record<string, unknown>[];
  readonly metadata: Metadata;
  readonly status: StatusObject;
}

interface RawCall {
  readonly headers?: Record<string, string>;
  readonly deadlineMs?: number;
  /** Called with each message of a stream. If it returns false, the call is cancelled. */
  readonly onMessage?: (message: Record<string, unknown>) => boolean;
}

export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  /** Calls a method of one of Hone's services. */
  call(service: ServiceName, method: string, request: object, options: RawCall = {}): Promise<RawResult> {
    return this.callMethod(serviceDefinition(service), method, request, options);
  }

  /** Calls a method of any service definition. */
  callMethod(service: object, name: string, request: object, options: RawCall = {}): Promise<RawResult> {
    const method = (service as ServiceDefinition)[name] as MethodDefinition<object, object>;
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(options.headers ?? {})) metadata.set(key, value);
    const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    // On the wire, a unary answer is a stream with one message.
    const call = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      deadline,
    );
    return finish(call as ClientReadableStream<Record<string, unknown>>, options.onMessage);
  }

  /** Calls a method that streams, and reads nothing of it. */
  callUnread(service: ServiceName, name: string, request: object, onStatus: (status: StatusObject) => void): void {
    const method = serviceDefinition(service)[name] as MethodDefinition<object, object>;
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    call.on('error', () => undefined);
    call.on('status', onStatus);
  }

  close(): void {
    this.#client.close();
  }
}

function finish(
  call: ClientReadableStream<Record<string, unknown>>,
  onMessage: RawCall['onMessage'],
): Promise<RawResult> {
  return new Promise((resolve) => {
    const messages: Record<string, unknown>[] = [];
    let initial = new Metadata();
    call.on('metadata', (received) => {
      initial = received;
    });
    call.on('data', (message) => {
      messages.push(message);
      if (onMessage?.(message) === false) call.cancel();
    });
    // The status event has the same information and more.
    call.on('error', (_: ServiceError) => undefined);
    call.on('status', (status) => resolve({ messages, metadata: initial, status }));
  });
}
