/**
 * Makes gRPC calls as promises and async iterables, with deadlines, cancellation, credentials, retries, typed errors.
 */

import { randomUUID } from 'node:crypto';
import { type Client, type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { HoneClientError } from './errors.js';
import { cancelled, Retries, type RetryOptions, type RetryRule } from './retry.js';

/** Options of every method of the client. */
export interface CallOptions {
  /** Milliseconds after which the call, with its retries, ends with DEADLINE_EXCEEDED. Default: the client's. */
  readonly timeoutMs?: number;
  /** Cancels the call when it aborts. The server stops its work at once. */
  readonly signal?: AbortSignal;
  /** Sent as `x-request-id`. The server's log contains it. Default: a random UUID. */
  readonly requestId?: string;
  /** Default: the client's. */
  readonly retry?: RetryOptions;
}

/** Defaults of all calls of a client. */
interface CallDefaults {
  readonly token: string | undefined;
  /** Deadline of unary calls. A stream has no deadline unless its call gives one. */
  readonly timeoutMs: number;
  readonly retry: RetryOptions;
}

/** A method of the contract with its request and response. */
export type Method<In, Out> = Pick<
  MethodDefinition<In, unknown, unknown, Out>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;

/** Makes calls over one connection. */
export class Calls {
  readonly #connection: Client;
  readonly #defaults: CallDefaults;
  #closed = false;

  constructor(connection: Client, defaults: CallDefaults) {
    this.#connection = connection;
    this.#defaults = defaults;
  }

  /** Makes a unary call. @throws HoneClientError */
  async unary<In, Out>(method: Method<In, Out>, request: In, rule: RetryRule, options: CallOptions): Promise<Out> {
    const deadline = Date.now() + (options.timeoutMs ?? this.#defaults.timeoutMs);
    const metadata = this.#metadata(options);
    const retries = this.retries(options);
    for (;;) {
      try {
        return await this.#unaryOnce(method, request, metadata, deadline, options.signal);
      } catch (thrown) {
        await retries.waitOrThrow(HoneClientError.from(thrown), rule, deadline, options.signal);
      }
    }
  }

  #unaryOnce<In, Out>(
    method: Method<In, Out>,
    request: In,
    metadata: Metadata,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<Out> {
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      const onAbort = (): void => call.cancel();
      const call = this.#openConnection().makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline },
        (error, value) => {
          signal?.removeEventListener('abort', onAbort);
          if (error === null && value !== undefined) resolve(value);
          else reject(signal?.aborted ? cancelled(signal) : HoneClientError.from(error));
        },
      );
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * Reads a server stream, no faster than the caller consumes it. Leaving the loop cancels the call. The call is
   * retried only if nothing has arrived.
   * @throws HoneClientError
   */
  async *serverStream<In, Out>(
    method: Method<In, Out>,
    request: In,
    rule: RetryRule,
    options: CallOptions,
  ): AsyncGenerator<Out, void, undefined> {
    const { signal } = options;
    const { path, requestSerialize, responseDeserialize } = method;
    // All attempts share one deadline.
    const callOptions = this.#streamOptions(options);
    const metadata = this.#metadata(options);
    const retries = this.retries(options);
    for (;;) {
      if (signal?.aborted) throw cancelled(signal);
      let begun = false;
      const call = this.#openConnection().makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        callOptions,
      );
      // After the loop was left, no caller is there to get an error.
      call.on('error', () => undefined);
      const onAbort = (): void => call.cancel();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        for await (const message of call as AsyncIterable<Out>) {
          begun = true;
          yield message;
        }
        return;
      } catch (thrown) {
        if (signal?.aborted) throw cancelled(signal);
        const error = HoneClientError.from(thrown);
        await retries.waitOrThrow(error, begun ? 'never' : rule, callOptions.deadline, signal);
      } finally {
        signal?.removeEventListener('abort', onAbort);
        // This ends the call if the loop was left early; if the call has ended, it does nothing.
        call.cancel();
      }
    }
  }

  /**
   * Sends a stream, no faster than the server reads it, and waits for the answer. It is never retried.
   * @throws HoneClientError
   */
  clientStream<In, Out>(
    method: Method<In, Out>,
    requests: Iterable<In> | AsyncIterable<In>,
    options: CallOptions,
  ): Promise<Out> {
    const { signal } = options;
    const { path, requestSerialize, responseDeserialize } = method;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(cancelled(signal));
        return;
      }
      const onAbort = (): void => call.cancel();
      let answered = false;
      let ended = (): void => undefined;
      const call = this.#openConnection().makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        this.#metadata(options),
        this.#streamOptions(options),
        (error, value) => {
          answered = true;
          ended();
          signal?.removeEventListener('abort', onAbort);
          if (error === null && value !== undefined) resolve(value);
          else reject(signal?.aborted ? cancelled(signal) : HoneClientError.from(error));
        },
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      const send = async (): Promise<void> => {
        for await (const request of requests) {
          // A server that refuses answers before everything was sent, and a failed call never drains.
          if (answered) return;
          if (!call.write(request)) {
            await new Promise<void>((drained) => {
              call.once('drain', drained);
              ended = drained;
            });
          }
        }
        call.end();
      };
      send().catch((thrown: unknown) => {
        reject(thrown);
        call.cancel();
      });
    });
  }

  /** Opens a call that streams both ways. */
  duplexStream<In, Out>(method: Method<In, Out>, options: CallOptions): ClientDuplexStream<In, Out> {
    const { signal } = options;
    const call = this.#openConnection().makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      this.#metadata(options),
      this.#streamOptions(options),
    );
    const onAbort = (): void => call.cancel();
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    call.once('close', () => signal?.removeEventListener('abort', onAbort));
    return call;
  }

  /** Counts the attempts of one call. */
  retries(options: CallOptions): Retries {
    return new Retries({ ...this.#defaults.retry, ...options.retry });
  }

  /** Closes the connection. Running calls fail. */
  close(): void {
    this.#closed = true;
    this.#connection.close();
  }

  #openConnection(): Client {
    if (!this.#closed) return this.#connection;
    throw new HoneClientError('the client is closed: connect again', { code: 'CANCELLED', status: 'CANCELLED' });
  }

  #streamOptions(options: CallOptions): { readonly deadline?: number } {
    return options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata();
    metadata.set('x-request-id', options.requestId ?? randomUUID());
    if (this.#defaults.token !== undefined) metadata.set('authorization', `Bearer ${this.#defaults.token}`);
    return metadata;
  }
}
