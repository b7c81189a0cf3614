/** The replay store as the server uses it: each call is a request to the worker thread, through a bounded queue. */

import { Worker } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { ErasureReport } from './erasure.js';
import type { ExportPage, ExportQuery } from './exporter.js';
import type { ImportOutcome } from './importer.js';
import type { OperationName, Operations, WorkerReply, WorkerRequest, WorkerSettings } from './messages.js';
import type { ReplayRecord } from './record.js';
import type { EvictionReport } from './retention.js';
import type {
  FeedbackOutcome,
  FeedbackWrite,
  Generation,
  GenerationAdmission,
  GenerationCompletion,
  Lesson,
  Preference,
  ReplayStatus,
  Score,
  StoredPrompt,
} from './types.js';

/**
 * The only writer of the file, in a worker thread. The doc of each write says what is on disk when its promise resolves.
 */
export interface ReplayStore {
  /** On disk (FULL commit) when it resolves; only then may a first token leave. */
  admit(generations: readonly GenerationAdmission[]): Promise<void>;
  /** On disk when it resolves; only then may the final message leave. */
  complete(generations: readonly GenerationCompletion[]): Promise<void>;
  /** On disk when it resolves: outcomes in the order of the items. @throws HoneError `STORE_FULL` */
  write(items: readonly FeedbackWrite[]): Promise<FeedbackOutcome[]>;
  /** Records which generations a version learned from; on disk when it resolves. It skips those that were removed. */
  recordLessons(lessons: readonly Lesson[]): Promise<void>;
  readGenerations(ids: readonly string[]): Promise<Generation[]>;
  readScores(generationIds: readonly string[]): Promise<Score[]>;
  readPreferences(generationIds: readonly string[]): Promise<Preference[]>;
  readLessons(generationIds: readonly string[]): Promise<Lesson[]>;
  /** Returns the ids of the edits of these generations. */
  readEdits(generationIds: readonly string[]): Promise<string[]>;
  /** Returns the newest prompts of real traffic, each once. */
  recentPrompts(limit: number): Promise<StoredPrompt[]>;
  status(): Promise<ReplayStatus>;
  /**
   * Erases everything that is kept of a subject, also the generations that run; on disk when it resolves. If a crash
   * interrupts it, the next opening completes it.
   */
  eraseSubject(subject: string): Promise<ErasureReport>;
  /** Reads the next page of an export in one short transaction. */
  exportPage(query: ExportQuery): Promise<ExportPage>;
  /** Writes records of an export; on disk when it resolves: outcomes in the order of the records. @throws HoneError `STORE_FULL` */
  importRecords(records: readonly ReplayRecord[]): Promise<ImportOutcome[]>;
  /** Waits for the writes in flight, checkpoints the log and closes the file. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ReplayStoreOptions {
  /** The database file (0600). Its directory is created (0700) if it is missing. */
  readonly path: string;
  /** Items (generations, scores, ids to read) that may wait for the worker; more throw `QUEUE_FULL`. Default 16384. */
  readonly maxQueuedItems?: number;
  /** How long the worker waits for another program's lock on the file, milliseconds. Default 5000. */
  readonly busyTimeoutMs?: number;
  /** How long an erasure tries to clear the log while others read an old state of the file, ms. Default 10 000. */
  readonly clearForMs?: number;
  /** Largest size of the file; writes beyond it throw `STORE_FULL`. Default: as large as the disk allows. */
  readonly maxFileBytes?: number;
  /** When the store uses more bytes, sweeps remove old generations (see `retention.ts`). Default: no bound. */
  readonly maxBytes?: number | null;
  /** Sweeps remove generations older than this, milliseconds. Default: no bound. */
  readonly maxAgeMs?: number | null;
  /** Called after a sweep that removed something. */
  readonly onEvicted?: (report: EvictionReport) => void;
  /** Called when a sweep fails; the store goes on serving and tries again. Repeated only when the error changes. */
  readonly onSweepFailed?: (error: HoneError) => void;
  /** Called before the store serves, for each erasure that a crash had interrupted and that is complete now. */
  readonly onErased?: (report: ErasureReport) => void;
  /** Heap of the worker thread; beyond it the worker ends and calls throw `WORKER_CRASHED`. Default: Node's own. */
  readonly maxWorkerHeapMb?: number;
  /** Called once when the worker has died; every later call throws `WORKER_CRASHED`. */
  readonly onCrash?: (error: HoneError) => void;
}

interface Pending {
  readonly items: number;
  readonly resolve: (result: never) => void;
  readonly reject: (error: HoneError) => void;
}

/**
 * Opens or creates the store, and marks the generations that a dead process left running as aborted. Only one process
 * may hold a store at a time; the caller guards the data directory.
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_FULL`, `STORE_TOO_NEW`
 */
export async function openReplayStore(options: ReplayStoreOptions): Promise<ReplayStore> {
  const settings: WorkerSettings = {
    path: options.path,
    busyTimeoutMs: options.busyTimeoutMs ?? 5000,
    maxFileBytes: options.maxFileBytes ?? null,
    maxBytes: options.maxBytes ?? null,
    maxAgeMs: options.maxAgeMs ?? null,
    nowMs: Date.now(),
    clearForMs: options.clearForMs ?? 10_000,
  };
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: settings,
    ...(options.maxWorkerHeapMb === undefined
      ? {}
      : { resourceLimits: { maxOldGenerationSizeMb: options.maxWorkerHeapMb } }),
  });
  await new Promise<void>((resolve, reject) => {
    worker.once('error', (error) => reject(crashed(error)));
    worker.once('exit', () => reject(crashed(undefined)));
    worker.once('message', ([reply]: readonly WorkerReply[]) => {
      if (reply?.type === 'opened') {
        for (const report of reply.erasures) options.onErased?.(report);
        resolve();
      } else if (reply?.type === 'refused') reject(HoneError.fromJSON(reply.error));
    });
  });
  return new WorkerReplayStore(worker, options);
}

class WorkerReplayStore implements ReplayStore {
  readonly #worker: Worker;
  readonly #maxQueuedItems: number;
  readonly #pending = new Map<number, Pending>();
  /** Requests that are not posted to the worker yet. */
  readonly #outbox: WorkerRequest[] = [];
  readonly #exited: Promise<void>;
  #queuedItems = 0;
  #nextId = 1;
  #crash: HoneError | undefined;
  #closing: Promise<void> | undefined;

  constructor(worker: Worker, { maxQueuedItems = 16384, onCrash, onEvicted, onSweepFailed }: ReplayStoreOptions) {
    this.#worker = worker;
    this.#maxQueuedItems = maxQueuedItems;
    worker.removeAllListeners('error');
    worker.removeAllListeners('exit');
    worker.on('message', (replies: readonly WorkerReply[]) => {
      for (const reply of replies) {
        if (reply.type === 'evicted') onEvicted?.(reply.report);
        else if (reply.type === 'sweep_failed') onSweepFailed?.(HoneError.fromJSON(reply.error));
        else this.#settle(reply);
      }
    });
    worker.on('error', (error) => {
      this.#crash = crashed(error);
    });
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        const expected = this.#closing !== undefined && this.#pending.size === 0;
        if (!expected) {
          this.#crash ??= crashed(undefined);
          for (const waiting of this.#pending.values()) waiting.reject(this.#crash);
          this.#pending.clear();
          this.#queuedItems = 0;
          onCrash?.(this.#crash);
        }
        resolve();
      });
    });
  }

  async admit(generations: readonly GenerationAdmission[]): Promise<void> {
    await this.#request('admit', generations);
  }

  async complete(generations: readonly GenerationCompletion[]): Promise<void> {
    await this.#request('complete', generations);
  }

  write(items: readonly FeedbackWrite[]): Promise<FeedbackOutcome[]> {
    return this.#request('write', items);
  }

  async recordLessons(lessons: readonly Lesson[]): Promise<void> {
    await this.#request('recordLessons', lessons);
  }

  readGenerations(ids: readonly string[]): Promise<Generation[]> {
    return this.#request('readGenerations', ids);
  }

  readScores(generationIds: readonly string[]): Promise<Score[]> {
    return this.#request('readScores', generationIds);
  }

  readPreferences(generationIds: readonly string[]): Promise<Preference[]> {
    return this.#request('readPreferences', generationIds);
  }

  readLessons(generationIds: readonly string[]): Promise<Lesson[]> {
    return this.#request('readLessons', generationIds);
  }

  readEdits(generationIds: readonly string[]): Promise<string[]> {
    return this.#request('readEdits', generationIds);
  }

  recentPrompts(limit: number): Promise<StoredPrompt[]> {
    return this.#request('recentPrompts', [limit]);
  }

  status(): Promise<ReplayStatus> {
    return this.#request('status', []);
  }

  exportPage(query: ExportQuery): Promise<ExportPage> {
    return this.#request('exportPage', [query]);
  }

  importRecords(records: readonly ReplayRecord[]): Promise<ImportOutcome[]> {
    return this.#request('importRecords', records);
  }

  eraseSubject(subject: string): Promise<ErasureReport> {
    return this.#request('erase', [subject]);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // The worker reads its queue in order, so requests that came earlier are committed before it closes.
    if (this.#crash === undefined) {
      await this.#send({ id: this.#nextId++, type: 'close' }, 0).catch(() => undefined);
    }
    await this.#exited;
  }

  async #request<Name extends OperationName>(
    type: Name,
    items: Operations[Name]['in'],
  ): Promise<Operations[Name]['out']> {
    if (this.#crash !== undefined) throw this.#crash;
    if (this.#closing !== undefined)
      throw new HoneError('DRAINING', 'the replay store is closed and takes no further requests');
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

  #send<Result>(request: WorkerRequest, items: number): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#pending.set(request.id, { items, resolve: resolve as Pending['resolve'], reject });
      this.#queuedItems += items;
      // Requests of one turn of the event loop travel together, because a message costs more than a small request.
      if (this.#outbox.length === 0) setImmediate(() => this.#worker.postMessage(this.#outbox.splice(0)));
      this.#outbox.push(request);
    });
  }

  #settle(reply: WorkerReply): void {
    if (reply.type !== 'done' && reply.type !== 'failed') return;
    const waiting = this.#pending.get(reply.id);
    if (waiting === undefined) return;
    this.#pending.delete(reply.id);
    this.#queuedItems -= waiting.items;
    if (reply.type === 'done') waiting.resolve(reply.result as never);
    else waiting.reject(HoneError.fromJSON(reply.error));
  }
}

function crashed(error: unknown): HoneError {
  const reason = error instanceof Error ? `: ${error.message}` : '';
  return new HoneError('WORKER_CRASHED', `the replay store's worker ended unexpectedly${reason}`, { cause: error });
}
