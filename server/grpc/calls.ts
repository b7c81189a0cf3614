/** Handlers of gRPC calls around plain functions: cancellation as a signal, errors as statuses, writes that wait. */

import { type EventEmitter, once } from 'node:events';
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';
import { readerStalled } from '../../src/policy/index.js';
import { toStatus } from '../errors.js';

/** Told of errors that are the server's own fault. */
export type ReportError = (path: string, error: HoneError) => void;

/** What every kind of call has. */
interface AnyCall {
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The writing side of a call that streams its answer. */
interface ResponseStream<Response> extends EventEmitter {
  write(response: Response): boolean;
}

/** Aborts when the caller goes away or its deadline passes; the reason says which. */
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

/** A unary method. */
export function unary<Request, Response>(
  report: ReportError,
  handle: (request: Request, signal: AbortSignal) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const run = async () => handle(call.request, callSignal(call));
    run().then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(failure(report, call.getPath(), thrown)),
    );
  };
}

/**
 * A method that streams its answer, no faster than the caller reads it.
 * @param maxStalledMs how long a caller may read nothing; for ever by default
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

/** What takes in the messages of one call. */
export interface Intake<Request, Response> {
  /** Throws where a message is refused: that ends the call at once. Where it takes time, the next message waits. */
  take(request: Request): void | Promise<void>;
  /** All messages have come. Not called where the call was cut. */
  finish(): Promise<Response>;
  /** The call has ended, one way or another. */
  close(): void;
}

/**
 * A method that takes a stream and answers once.
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

/** Messages are taken as events: an iterator would destroy the call when its error is sent. */
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
        reject(new HoneError('DEADLINE_EXCEEDED', `nothing was sent for ${maxStalledMs / 1000} s; begin anew`));
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
 * Writes a message and, where the pipe is full, waits until it has drained.
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

/** The status of whatever a handler threw; what is nobody's request's fault is reported. */
export function failure(report: ReportError, path: string, thrown: unknown) {
  const error = HoneError.from(thrown);
  if (error.kind === 'internal' || error.kind === 'data_loss') report(path, error);
  const { code, details, metadata } = toStatus(error);
  return Object.assign(new Error(details), { code, details, metadata });
}

/**
 * Groups what is ready together: each batch holds all values that arrive before the event loop turns, at most
 * `maxBatch`. One message per batch costs a gRPC peer far less than one per value.
 */
export async function* batched<Value>(source: AsyncIterable<Value>, maxBatch = 256): AsyncGenerator<Value[]> {
  const iterator = source[Symbol.asyncIterator]();
  const read = () => {
    const result = iterator.next();
    // It may fail while the batch before it is being written; it is awaited, and thrown, after that.
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
        // The end, or an error, is left for the next round: what came before it is sent first.
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
