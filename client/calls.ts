/**
 * Makes gRPC calls as promises and async iterables, with deadlines, cancellation, credentials, retries, typed errors.
 */

import { randomUUID } from 'node:crypto';
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import { type Connection, closedError } from './connection.js';
import { HoneClientError } from './errors.js';
import { cancelled, Retries, type RetryRule } from './retry.js';
import type { CallOptions, RetryOptions } from './types/index.js';

/** Milliseconds since 1970 at which a stream ends; undefined: it has no deadline. */
export function streamDeadline({ timeoutMs }: CallOptions): number | undefined {
  return timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
}

/** Defaults of all calls of a client. */
interface CallDefaults {
  readonly token: string | undefined;
  /** Deadline of unary calls. A stream has no deadline unless its call gives one. */
  readonly timeoutMs: number;
  readonly retry: RetryOptions;
}

/** A call that has begun and not ended. */
interface RunningCall {
  cancel(): void;
}

/** A method of the contract with its request and response. */
export type Method<In, Out> = Pick<
  MethodDefinition<In, unknown, unknown, Out>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;

/** Makes calls over one connection. */
export class Calls {
  readonly #connection: Connection;
  readonly #defaults: CallDefaults;
  readonly #running = new Set<RunningCall>();

  constructor(connection: Connection, defaults: CallDefaults) {
    this.#connection = connection;
    this.#defaults = defaults;
  }

  /** Makes a unary call. @throws HoneClientError */
  async unary<In, Out>(method: Method<In, Out>, request: In, rule: RetryRule, options: CallOptions): Promise<Out> {
    const deadline = Date.now() + (options.timeoutMs ?? this.#defaults.timeoutMs);
    const metadata = this.#metadata(options);
    const retries = this.retries(options);
    for (;;) {
      await this.#ready(retries, deadline, options.signal);
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
      const call = this.#connection.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline },
        (error, value) => {
          end();
          if (error === null && value !== undefined) resolve(value);
          else reject(this.#failure(error, signal));
        },
      );
      const end = this.#begin(call, signal);
    });
  }

  /**
   * Reads a server stream, no faster than the caller consumes it. Leaving the loop cancels the call. The call is
   * retried only if nothing has arrived.
   * @param onMetadata called with the initial metadata of each attempt
   * @throws HoneClientError
   */
  async *serverStream<In, Out>(
    method: Method<In, Out>,
    request: In,
    rule: RetryRule,
    options: CallOptions,
    onMetadata?: (metadata: Metadata) => void,
  ): AsyncGenerator<Out, void, undefined> {
    const { signal } = options;
    const { path, requestSerialize, responseDeserialize } = method;
    // All attempts share one deadline.
    const callOptions = this.#streamOptions(options);
    const metadata = this.#metadata(options);
    const retries = this.retries(options);
    for (;;) {
      await this.#ready(retries, callOptions.deadline, signal);
      if (signal?.aborted) throw cancelled(signal);
      let begun = false;
      const call = this.#connection.client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        callOptions,
      );
      // After the loop was left, no caller is there to get an error.
      call.on('error', () => undefined);
      if (onMetadata !== undefined) call.on('metadata', onMetadata);
      const end = this.#begin(call, signal);
      try {
        for await (const message of call as AsyncIterable<Out>) {
          begun = true;
          yield message;
        }
        return;
      } catch (thrown) {
        const error = this.#failure(thrown, signal);
        await retries.waitOrThrow(error, begun ? 'never' : rule, callOptions.deadline, signal);
      } finally {
        end();
        // This ends the call if the loop was left early; if the call has ended, it does nothing.
        call.cancel();
      }
    }
  }

  /**
   * Sends a stream, no faster than the server reads it, and waits for the answer. It is never retried.
   * @throws HoneClientError
   */
  async clientStream<In, Out>(
    method: Method<In, Out>,
    requests: Iterable<In> | AsyncIterable<In>,
    options: CallOptions,
  ): Promise<Out> {
    const { signal } = options;
    const { path, requestSerialize, responseDeserialize } = method;
    const callOptions = this.#streamOptions(options);
    await this.#ready(this.retries(options), callOptions.deadline, signal);
    if (signal?.aborted) throw cancelled(signal);
    return new Promise((resolve, reject) => {
      let answered = false;
      let ended = (): void => undefined;
      const call = this.#connection.client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        this.#metadata(options),
        callOptions,
        (error, value) => {
          answered = true;
          ended();
          end();
          if (error === null && value !== undefined) resolve(value);
          else reject(this.#failure(error, signal));
        },
      );
      const end = this.#begin(call, signal);
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

  /**
   * Opens a call that streams both ways, as soon as there is a connection.
   * @param deadlineMs milliseconds since 1970
   * @throws HoneClientError
   */
  async duplexStream<In, Out>(
    method: Method<In, Out>,
    options: CallOptions,
    retries: Retries,
    deadlineMs: number | undefined,
  ): Promise<ClientDuplexStream<In, Out>> {
    const { signal } = options;
    await this.#ready(retries, deadlineMs, signal);
    if (signal?.aborted) throw cancelled(signal);
    const call = this.#connection.client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      this.#metadata(options),
      deadlineMs === undefined ? {} : { deadline: deadlineMs },
    );
    // A stream whose writing side was not ended never emits `close`. Each call gets a status, however it ends.
    call.once('status', this.#begin(call, signal));
    return call;
  }

  /** Counts the attempts of one call. */
  retries(options: CallOptions): Retries {
    return new Retries({ ...this.#defaults.retry, ...options.retry });
  }

  /** Closes the connection. Running calls fail with `CANCELLED`. */
  close(): void {
    this.#connection.close();
    // The library would let them run to their end.
    for (const call of this.#running) call.cancel();
  }

  /** Notes that a call has begun. The signal cancels it. Returns a function for its end. */
  #begin(call: RunningCall, signal: AbortSignal | undefined): () => void {
    const onAbort = (): void => call.cancel();
    this.#running.add(call);
    signal?.addEventListener('abort', onAbort, { once: true });
    return () => {
      this.#running.delete(call);
      signal?.removeEventListener('abort', onAbort);
    };
  }

  #failure(thrown: unknown, signal: AbortSignal | undefined): HoneClientError {
    if (signal?.aborted) return cancelled(signal);
    return this.#connection.closed ? closedError() : HoneClientError.from(thrown);
  }

  /** Waits until there is a connection. What was not sent yet can be sent later, whatever it is. */
  async #ready(retries: Retries, deadlineMs: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    const sinceMs = Date.now();
    const boundMs = retries.areOn ? retries.giveUpAtMs : sinceMs + this.#connection.keepaliveMs;
    const untilMs = Math.min(boundMs, deadlineMs ?? boundMs);
    try {
      await this.#connection.ready({ untilMs, overFailures: retries.areOn }, signal);
    } catch (thrown) {
      retries.noteFailure(sinceMs);
      throw thrown;
    }
  }

  #streamOptions(options: CallOptions): { readonly deadline?: number } {
    const deadline = streamDeadline(options);
    return deadline === undefined ? {} : { deadline };
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata();
    metadata.set('x-request-id', options.requestId ?? randomUUID());
    if (this.#defaults.token !== undefined) metadata.set('authorization', `Bearer ${this.#defaults.token}`);
    return metadata;
  }
}
