/** The channel to the store's worker: a bounded queue of requests with one reply to each. */

import type { Worker } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { OperationName, Operations, WorkerReply, WorkerRequest } from './messages.js';

/** A message of the worker that answers no request. */
export type WorkerNotice = Extract<
  WorkerReply,
  { readonly type: 'evicted' | 'sweep_failed' | 'unsettled' | 'log_held' }
>;

export interface WorkerChannelOptions {
  /** Items that may wait for the worker; more throw `QUEUE_FULL`. */
  readonly maxQueuedItems: number;
  readonly onNotice: (notice: WorkerNotice) => void;
  /** Called once when the worker has died; every later request throws `WORKER_CRASHED`. */
  readonly onCrash: ((error: HoneError) => void) | undefined;
}

interface Pending {
  readonly items: number;
  readonly resolve: (result: never) => void;
  readonly reject: (error: HoneError) => void;
}

export class WorkerChannel {
  readonly #worker: Worker;
  readonly #maxQueuedItems: number;
  /** Requests without a reply, by id. */
  readonly #pending = new Map<number, Pending>();
  /** Requests that are not posted to the worker yet. */
  readonly #outbox: WorkerRequest[] = [];
  readonly #exited: Promise<void>;
  #queuedItems = 0;
  #nextId = 1;
  #crash: HoneError | undefined;
  #closing: Promise<void> | undefined;

  /** @param worker has opened the store */
  constructor(worker: Worker, { maxQueuedItems, onNotice, onCrash }: WorkerChannelOptions) {
    this.#worker = worker;
    this.#maxQueuedItems = maxQueuedItems;
    worker.removeAllListeners('error');
    worker.removeAllListeners('exit');
    worker.on('message', (replies: readonly WorkerReply[]) => {
      for (const reply of replies) {
        if (reply.type === 'done' || reply.type === 'failed') this.#settle(reply);
        else if (reply.type !== 'opened' && reply.type !== 'refused') onNotice(reply);
      }
    });
    worker.on('error', (error) => {
      this.#crash = workerCrash(error);
    });
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        const expected = this.#closing !== undefined && this.#pending.size === 0;
        if (!expected) {
          this.#crash ??= workerCrash(undefined);
          for (const waiting of this.#pending.values()) waiting.reject(this.#crash);
          this.#pending.clear();
          this.#queuedItems = 0;
          onCrash?.(this.#crash);
        }
        resolve();
      });
    });
  }

  /** @throws HoneError `QUEUE_FULL`, `DRAINING`, `WORKER_CRASHED`, and every error of the operation */
  async request<Name extends OperationName>(
    type: Name,
    items: Operations[Name]['in'],
  ): Promise<Operations[Name]['out']> {
    if (this.#crash !== undefined) throw this.#crash;
    if (this.#closing !== undefined) throw new HoneError('DRAINING', 'the replay store is closed');
    const weight = Math.max(1, items.length);
    // A request that is larger than the whole queue passes when it is alone, because otherwise it never could.
    // Completions always pass: each belongs to an admitted generation, and a refused one would be lost.
    if (type !== 'complete' && this.#queuedItems > 0 && this.#queuedItems + weight > this.#maxQueuedItems) {
      throw new HoneError(
        'QUEUE_FULL',
        `${this.#queuedItems} items wait for the replay store, the limit is ${this.#maxQueuedItems}; try again later`,
        { retryAfterMs: 100 },
      );
    }
    return this.#send({ id: this.#nextId++, type, items } as WorkerRequest, weight);
  }

  /** Waits for the requests in flight and for the worker to close the file and end. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // The worker reads its queue in order, so requests that came earlier are committed before it closes.
    if (this.#crash === undefined) {
      await this.#send({ id: this.#nextId++, type: 'close' }, 0).catch(() => undefined);
    }
    await this.#exited;
  }

  #send<Result>(request: WorkerRequest, items: number): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#pending.set(request.id, { items, resolve: resolve as Pending['resolve'], reject });
      this.#queuedItems += items;
      // Requests of one turn of the event loop travel together, because a message costs more than a small request.
      if (this.#outbox.length === 0) setImmediate(() => this.#worker.postMessage(this.#outbox.splice(0)));
      this.#outbox.push(request);
    });
  }

  #settle(reply: Extract<WorkerReply, { readonly type: 'done' | 'failed' }>): void {
    const waiting = this.#pending.get(reply.id);
    if (waiting === undefined) return;
    this.#pending.delete(reply.id);
    this.#queuedItems -= waiting.items;
    if (reply.type === 'done') waiting.resolve(reply.result as never);
    else waiting.reject(HoneError.fromJSON(reply.error));
  }
}

/** The error of a worker that ended without being asked to. */
export function workerCrash(error: unknown): HoneError {
  const reason = error instanceof Error ? `: ${error.message}` : '';
  return new HoneError('WORKER_CRASHED', `the replay store's worker ended unexpectedly${reason}`, { cause: error });
}
