/** Turns plain functions into handlers of gRPC calls: with an abort signal, errors as statuses, and back-pressure. */

import { type EventEmitter, once } from 'node:events';
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';
import { readerStalled } from '../../src/policy/index.js';
import { toStatus } from '../errors.js';

/** Called with errors that are the server's own fault. */
export type ReportError = (path: string, error: HoneError) => void;

/** The part that every kind of call has. */
interface AnyCall {
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The writing side of a call that streams its answer. */
interface ResponseStream<Response> extends EventEmitter {
  write(response: Response): boolean;
}

/** A signal that aborts when the caller cancels or its deadline passes; the reason tells which. */
export function callSignal(call: AnyCall): AbortSignal {
  const controller = new AbortController();
  const onCancelled = () => {
    const passed = Number(call.getDeadline()) <= Date.now();
    controller.abort(
      passed
        ? new HoneError('DEADLINE_EXCEEDED', "the call's deadline passed")
        : new HoneError('CANCELLED', 'the caller cancelled the call'),
    );
  };
  if (call.cancelled) onCancelled();
  else call.on('cancelled', onCancelled);
  return controller.signal;
}

/** Handles a unary method. */
export function unary<Request, Response>(
  report: ReportError,
  handle: (
    request: Request,
    signal: AbortSignal,
    call: ServerUnaryCall<Request, Response>,
  ) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const run = async () => handle(call.request, callSignal(call), call);
    run().then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(failure(report, call.getPath(), thrown)),
    );
  };
}

/**
 * Handles a method that streams its answer, no faster than the caller reads it.
 * @param maxStalledMs how long a caller may read nothing; default: without limit
 */
export function serverStream<Request, Response>(
  report: ReportError,
  handle: (
    request: Request,
    signal: AbortSignal,
    call: ServerWritableStream<Request, Response>,
  ) => AsyncIterable<Response>,
  maxStalledMs?: number,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const signal = callSignal(call);
    const run = async () => {
      for await (const response of handle(call.request, signal, call)) {
        await write(call, response, signal, maxStalledMs);
      }
    };
    run().then(
      () => call.end(),
      (thrown: unknown) => call.emit('error', failure(report, call.getPath(), thrown)),
    );
  };
}

/** Receives the messages of one call. */
interface Intake<Request, Response> {
  /** Takes a message. If it throws, the call ends at once; if it returns a promise, the next message waits for it. */
  take(request: Request): void | Promise<void>;
  /** Called when all messages have arrived, unless the call ended before. Resolves with the answer. */
  finish(): Promise<Response>;
  /** Called when the call has ended, however it ended. */
  close(): void;
}

/**
 * Handles a method that receives a stream and answers once.
 * @param open called when the call begins
 * @param maxStalledMs how long a caller may send nothing
 */
export function clientStream<Request, Response>(
  report: ReportError,
  open: () => Intake<Request, Response>,
  maxStalledMs: number,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    receive(call, callSignal(call), open, maxStalledMs).then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(failure(report, call.getPath(), thrown)),
    );
  };
}

/** Receives messages as events, because an iterator would destroy the call before its error is sent. */
async function receive<Request, Response>(
  call: EventEmitter & { pause(): unknown; resume(): unknown },
  signal: AbortSignal,
  open: () => Intake<Request, Response>,
  maxStalledMs: number,
): Promise<Response> {
  const intake = open();
  let stall: NodeJS.Timeout | undefined;
  try {
    let taken = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      stall = setTimeout(() => {
        reject(
          new HoneError('DEADLINE_EXCEEDED', `no message arrived for ${maxStalledMs / 1000} s; start the call again`),
        );
      }, maxStalledMs);
      call.on('data', (request: Request) => {
        stall?.refresh();
        try {
          const taking = intake.take(request);
          if (taking === undefined) return;
          call.pause();
          taken = taking;
          taking.then(() => call.resume(), reject);
        } catch (refusal) {
          reject(refusal);
        }
      });
      call.on('end', () => taken.then(resolve, reject));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      if (signal.aborted) reject(signal.reason);
    });
    return await intake.finish();
  } catch (thrown) {
    call.pause();
    throw thrown;
  } finally {
    clearTimeout(stall);
    intake.close();
  }
}

/**
 * Writes a message and, if the pipe is full, waits until it has drained.
 * @throws the signal's reason when it aborts; HoneError `READER_STALLED` when it has not drained after `maxStalledMs`
 */
export async function write<Response>(
  call: ResponseStream<Response>,
  response: Response,
  signal: AbortSignal,
  maxStalledMs?: number,
): Promise<void> {
  signal.throwIfAborted();
  if (call.write(response)) return;
  const stalled = maxStalledMs === undefined ? undefined : AbortSignal.timeout(maxStalledMs);
  const either = stalled === undefined ? signal : AbortSignal.any([signal, stalled]);
  await once(call, 'drain', { signal: either }).catch((thrown: unknown) => {
    if (signal.aborted) throw signal.reason;
    throw stalled?.aborted === true ? readerStalled(maxStalledMs as number) : thrown;
  });
}

/** The status of an error that a handler threw. Errors that are the server's own fault are reported. */
export function failure(report: ReportError, path: string, thrown: unknown) {
  const error = HoneError.from(thrown);
  if (error.kind === 'internal' || error.kind === 'data_loss') report(path, error);
  const { code, details, metadata } = toStatus(error);
  return Object.assign(new Error(details), { code, details, metadata });
}

/**
 * Groups values that are ready at the same time: a batch holds all values that arrive in one turn of the event loop, at
 * most `maxBatch`. One message per batch costs a gRPC peer far less than one message per value.
 */
export async function* batched<Value>(source: AsyncIterable<Value>, maxBatch = 256): AsyncGenerator<Value[]> {
  const iterator = source[Symbol.asyncIterator]();
  const read = () => {
    const result = iterator.next();
    // It may fail while the previous batch is being written. The loop awaits it after that and throws its error.
    result.catch(() => undefined);
    return result;
  };
  let pending = read();
  try {
    for (;;) {
      const first = await pending;
      if (first.done === true) return;
      const batch = [first.value];
      pending = read();
      const turned = new Promise<'turned'>((resolve) => setImmediate(resolve, 'turned'));
      while (batch.length < maxBatch) {
        const next = await Promise.race([pending.catch(() => 'turned' as const), turned]);
        // The end or an error is left for the next iteration, so that the values before it are sent first.
        if (next === 'turned' || next.done === true) break;
        batch.push(next.value);
        pending = read();
      }
      yield batch;
    }
  } finally {
    await iterator.return?.();
  }
}
