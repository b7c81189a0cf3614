/**
 * Controls one inference worker: a thread that answers calls and sends steps until it is closed or dies. The thread
 * starts to load its code when the handle is constructed, and serves once it is opened.
 */

import { Worker } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { CompletionRequest } from './completion-request.js';
import {
  type FromWorker,
  type StepMessage,
  sinceEpochMs,
  type ToWorker,
  type WorkerSettings,
  type WorkerStatus,
} from './messages.js';
import type { HoldReport, PolicyVersion, SwapReport } from './policy-version.js';

interface Call {
  readonly resolve: (value: never) => void;
  readonly reject: (error: HoneError) => void;
}

/** Id of the call that opens a worker. */
const opening = -1;

interface WorkerEvents {
  readonly onStep: (message: StepMessage) => void;
  /** Called once, if the worker dies without being closed. Every call has been rejected by then. */
  readonly onCrash: (error: HoneError) => void;
}

/** The part of `Worker` that a handle uses. */
export interface InferenceThread {
  postMessage(message: ToWorker): void;
  on(event: 'message', listener: (message: FromWorker) => void): unknown;
  on(event: 'error', listener: (thrown: unknown) => void): unknown;
  /** Always the last event. */
  on(event: 'exit', listener: (exitCode: number) => void): unknown;
}

export class WorkerHandle {
  readonly #worker: InferenceThread;
  #events: WorkerEvents | null = null;
  readonly #calls = new Map<number, Call>();
  readonly #exited: Promise<void>;
  #nextCall = 0;
  #closing = false;
  #crash: HoneError | null = null;
  #onLoaded = (): void => undefined;
  /** Resolves when the thread has loaded its code and waits to be opened, or has died. */
  readonly loaded: Promise<void>;

  /** @param thread the thread that runs the inference; default: a new one */
  constructor(thread: InferenceThread = new Worker(new URL('./inference-worker.js', import.meta.url))) {
    this.#worker = thread;
    this.#exited = new Promise((resolve) => this.#worker.on('exit', () => resolve()));
    this.loaded = new Promise((resolve) => {
      this.#onLoaded = resolve;
      this.#worker.on('exit', () => resolve());
    });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (thrown) => this.#noteCrash(HoneError.from(thrown)));
    this.#worker.on('exit', (exitCode) => this.#onExit(exitCode));
  }

  /** Resolves when the worker serves. Call it once. @throws HoneError the reason why the worker cannot start */
  open(settings: WorkerSettings, events: WorkerEvents): Promise<void> {
    if (this.#crash !== null) return Promise.reject(this.#crash);
    this.#events = events;
    return new Promise((resolve, reject) => {
      this.#calls.set(opening, { resolve: resolve as Call['resolve'], reject });
      this.#post({ type: 'open', settings });
    });
  }

  submit(request: number, spec: CompletionRequest): void {
    this.#post({ type: 'submit', request, spec, atMs: sinceEpochMs() });
  }

  cancel(request: number): void {
    this.#post({ type: 'cancel', request });
  }

  /** Stops computing for a request until it is resumed. */
  park(request: number): void {
    this.#post({ type: 'park', request });
  }

  resume(request: number): void {
    this.#post({ type: 'resume', request });
  }

  /** @throws HoneError the worker's reason to refuse the version, or `WORKER_CRASHED` */
  swap(version: PolicyVersion): Promise<SwapReport> {
    return this.#call((call) => ({ type: 'swap', call, version }));
  }

  /** @throws HoneError as {@link swap} does, or `TOO_MANY_VERSIONS` */
  hold(version: PolicyVersion): Promise<HoldReport> {
    return this.#call((call) => ({ type: 'hold', call, version }));
  }

  release(version: number): void {
    this.#post({ type: 'release', version });
  }

  /** @throws HoneError `WORKER_CRASHED` */
  clearPrefixes(): Promise<void> {
    return this.#call((call) => ({ type: 'clear_prefixes', call }));
  }

  /** @throws HoneError `WORKER_CRASHED` */
  status(): Promise<WorkerStatus> {
    return this.#call((call) => ({ type: 'status', call }));
  }

  /** Lets running requests end. Resolves when the thread has ended. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#post({ type: 'close' });
    await this.#exited;
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #call<Result>(make: (call: number) => ToWorker): Promise<Result> {
    if (this.#crash !== null) return Promise.reject(this.#crash);
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve: resolve as Call['resolve'], reject });
      this.#post(make(call));
    });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'step':
        this.#events?.onStep(message);
        return;
      case 'loaded':
        this.#onLoaded();
        return;
      case 'ready':
        this.#settle(opening, (call) => call.resolve(undefined as never));
        return;
      case 'version_added':
        this.#settle(message.call, (call) => call.resolve(message.report as never));
        return;
      case 'status':
        this.#settle(message.call, (call) => call.resolve(message.status as never));
        return;
      case 'prefixes_cleared':
        this.#settle(message.call, (call) => call.resolve(undefined as never));
        return;
      case 'failed':
        this.#settle(message.call, (call) => call.reject(HoneError.fromJSON(message.error)));
        return;
      case 'crashed':
        this.#noteCrash(HoneError.fromJSON(message.error));
        return;
    }
  }

  #settle(id: number, how: (call: Call) => void): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (call !== undefined) how(call);
  }

  /** Keeps the first report of a crash, because it is the cause of the others. */
  #noteCrash(cause: HoneError): void {
    this.#crash ??= cause;
  }

  #onExit(exitCode: number): void {
    if (this.#closing && this.#crash === null && this.#calls.size === 0) return;
    const starting = this.#calls.get(opening);
    this.#calls.delete(opening);
    const cause = this.#crash ?? new HoneError('INTERNAL', `the thread ended with exit code ${exitCode}`);
    // A worker that could not start (an unsupported graph, an adapter of another model) rejects `open` with the cause.
    starting?.reject(cause);
    const error = new HoneError('WORKER_CRASHED', `the inference worker crashed: ${cause.message}`, {
      cause,
      retryAfterMs: 1000,
    });
    this.#crash = error;
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    if (starting === undefined && !this.#closing) this.#events?.onCrash(error);
  }
}
