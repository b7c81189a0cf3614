/** The replay store as the server uses it: each call is a request to the worker thread, through a bounded queue. */

import { Worker } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { ErasureNote, ErasureReport } from './erasure.js';
import type { ExportPage, ExportQuery } from './exporter.js';
import type { ImportOutcome } from './importer.js';
import type { LogHeld } from './log-bound.js';
import type { WorkerReply, WorkerSettings } from './messages.js';
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
  ScoreBounds,
  ScoreExtremes,
  StoredPrompt,
} from './types.js';
import { WorkerChannel, workerCrash } from './worker-channel.js';

/**
 * The only writer of the file, in a worker thread. The doc of each write says what is on disk when its promise resolves.
 * While another program holds the lock for writing, writes throw `STORE_BUSY` after a moment, and reads go on.
 */
export interface ReplayStore {
  /** Stores generations before their first token leaves; on disk (a FULL commit) when it resolves. */
  admit(generations: readonly GenerationAdmission[]): Promise<void>;
  /** Stores completions before their final message leaves; on disk when it resolves. */
  complete(generations: readonly GenerationCompletion[]): Promise<void>;
  /**
   * Writes feedback; on disk when it resolves, with the outcomes in the order of the items.
   * @throws HoneError `STORE_FULL`, `STORE_BUSY`
   */
  write(items: readonly FeedbackWrite[]): Promise<FeedbackOutcome[]>;
  /** Records which generations a version learned from; on disk when it resolves. It skips those that were removed. */
  recordLessons(lessons: readonly Lesson[]): Promise<void>;
  readGenerations(ids: readonly string[]): Promise<Generation[]>;
  readScores(generationIds: readonly string[]): Promise<Score[]>;
  readPreferences(generationIds: readonly string[]): Promise<Preference[]>;
  readLessons(generationIds: readonly string[]): Promise<Lesson[]>;
  /** Returns the versions that learned from anything that is stored, ascending. It reads all lessons. */
  versionsWithLessons(): Promise<number[]>;
  /** Returns the ids of the edits of these generations. */
  readEdits(generationIds: readonly string[]): Promise<string[]>;
  /** Returns the smallest and the largest score of each metric. Reads all scores. */
  scoreExtremes(): Promise<ScoreExtremes[]>;
  /** Returns the number of scores outside each of these bounds. Reads all scores for each. */
  countOutside(bounds: readonly ScoreBounds[]): Promise<number[]>;
  /** Returns the newest prompts of real traffic, each once. */
  recentPrompts(limit: number): Promise<StoredPrompt[]>;
  status(): Promise<ReplayStatus>;
  /**
   * Erases everything that is kept of a subject, also the generations that run; on disk when it resolves. If a crash or a
   * full disk interrupts it, the next opening, or the next moment with room, completes it.
   * @param retrain recorded with the erasure: whether what was learned from the data is to be taken back. Default false.
   */
  eraseSubject(subject: string, retrain?: boolean): Promise<ErasureReport>;
  /** Erasures whose data is removed, but that are not reported or whose lessons are not taken back, oldest first. */
  unsettledErasures(): Promise<ErasureReport[]>;
  /** The listener is called when there may be new `unsettledErasures`: one that was interrupted is complete now. */
  onUnsettled(listener: () => void): void;
  /** Records how far an erasure has come; on disk when it resolves. */
  noteErasure(note: ErasureNote): Promise<void>;
  /**
   * Reads the next page of an export in one short transaction. The first page begins the export, the last one ends it.
   * @throws HoneError `QUEUE_FULL` if too many exports run, `READER_STALLED` if too much was changed since it began
   */
  exportPage(query: ExportQuery): Promise<ExportPage>;
  /** Ends an export whose last page is not read. */
  endExport(id: number): Promise<void>;
  /** Writes records of an export; on disk when it resolves, with an outcome for each. @throws HoneError `STORE_FULL` */
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
  /** How long a request waits for another program's lock on the file before `STORE_BUSY`, milliseconds. Default 500. */
  readonly busyTimeoutMs?: number;
  /** The log is emptied when it is longer, bytes. Default 16 MiB. */
  readonly maxLogBytes?: number;
  /** How long another program may keep such a log from being emptied before that is reported, ms. Default 10 000. */
  readonly logHeldAfterMs?: number;
  /**
   * What becomes of a store that has no room to be opened as it should. `read`: it is read, and opened again as soon as there
   * is room. `refuse`: opening throws `STORE_FULL`. Default `read`.
   */
  readonly onFullDisk?: 'read' | 'refuse';
  /** Called once when another program keeps the log from being emptied, and again only after it was emptied. */
  readonly onLogHeld?: (held: LogHeld) => void;
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
  /** Called when a sweep fails; the store continues to serve and tries again. Repeated only if the error changes. */
  readonly onSweepFailed?: (error: HoneError) => void;
  /** Heap of the worker thread; beyond it the worker ends and calls throw `WORKER_CRASHED`. Default: Node's own. */
  readonly maxWorkerHeapMb?: number;
  /** Called once when the worker has died; every later call throws `WORKER_CRASHED`. */
  readonly onCrash?: (error: HoneError) => void;
}

/**
 * Opens or creates the store, and marks the generations that a dead process left running as aborted. Only one process
 * may hold a store at a time; the caller guards the data directory.
 * @throws HoneError `STORE_CORRUPT`, `STORE_LOCKED`, `STORE_FULL`, `STORE_TOO_NEW`
 */
export async function openReplayStore(options: ReplayStoreOptions): Promise<ReplayStore> {
  const settings: WorkerSettings = {
    path: options.path,
    busyTimeoutMs: options.busyTimeoutMs ?? 500,
    onFullDisk: options.onFullDisk ?? 'read',
    maxLogBytes: options.maxLogBytes ?? 16 * 1024 * 1024,
    logHeldAfterMs: options.logHeldAfterMs ?? 10_000,
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
    worker.once('error', (error) => reject(workerCrash(error)));
    worker.once('exit', () => reject(workerCrash(undefined)));
    worker.once('message', ([reply]: readonly WorkerReply[]) => {
      if (reply?.type === 'opened') resolve();
      else if (reply?.type === 'refused') reject(HoneError.fromJSON(reply.error));
    });
  });
  const { maxQueuedItems = 16384, onCrash } = options;
  const unsettled: (() => void)[] = [];
  const channel = new WorkerChannel(worker, {
    maxQueuedItems,
    onCrash,
    onNotice(notice) {
      if (notice.type === 'evicted') options.onEvicted?.(notice.report);
      else if (notice.type === 'log_held') options.onLogHeld?.(notice.held);
      else if (notice.type === 'unsettled') for (const listener of unsettled) listener();
      else options.onSweepFailed?.(HoneError.fromJSON(notice.error));
    },
  });
  return new WorkerReplayStore(channel, unsettled);
}

class WorkerReplayStore implements ReplayStore {
  readonly #channel: WorkerChannel;
  readonly #unsettled: (() => void)[];

  /** @param unsettled listeners of {@link ReplayStore.onUnsettled} */
  constructor(channel: WorkerChannel, unsettled: (() => void)[]) {
    this.#channel = channel;
    this.#unsettled = unsettled;
  }

  async admit(generations: readonly GenerationAdmission[]): Promise<void> {
    await this.#channel.request('admit', generations);
  }

  async complete(generations: readonly GenerationCompletion[]): Promise<void> {
    await this.#channel.request('complete', generations);
  }

  write(items: readonly FeedbackWrite[]): Promise<FeedbackOutcome[]> {
    return this.#channel.request('write', items);
  }

  async recordLessons(lessons: readonly Lesson[]): Promise<void> {
    await this.#channel.request('recordLessons', lessons);
  }

  readGenerations(ids: readonly string[]): Promise<Generation[]> {
    return this.#channel.request('readGenerations', ids);
  }

  readScores(generationIds: readonly string[]): Promise<Score[]> {
    return this.#channel.request('readScores', generationIds);
  }

  readPreferences(generationIds: readonly string[]): Promise<Preference[]> {
    return this.#channel.request('readPreferences', generationIds);
  }

  readLessons(generationIds: readonly string[]): Promise<Lesson[]> {
    return this.#channel.request('readLessons', generationIds);
  }

  versionsWithLessons(): Promise<number[]> {
    return this.#channel.request('versionsWithLessons', []);
  }

  readEdits(generationIds: readonly string[]): Promise<string[]> {
    return this.#channel.request('readEdits', generationIds);
  }

  scoreExtremes(): Promise<ScoreExtremes[]> {
    return this.#channel.request('scoreExtremes', []);
  }

  countOutside(bounds: readonly ScoreBounds[]): Promise<number[]> {
    return this.#channel.request('countOutside', bounds);
  }

  recentPrompts(limit: number): Promise<StoredPrompt[]> {
    return this.#channel.request('recentPrompts', [limit]);
  }

  status(): Promise<ReplayStatus> {
    return this.#channel.request('status', []);
  }

  exportPage(query: ExportQuery): Promise<ExportPage> {
    return this.#channel.request('exportPage', [query]);
  }

  importRecords(records: readonly ReplayRecord[]): Promise<ImportOutcome[]> {
    return this.#channel.request('importRecords', records);
  }

  async endExport(id: number): Promise<void> {
    await this.#channel.request('endExport', [id]);
  }

  eraseSubject(subject: string, retrain = false): Promise<ErasureReport> {
    return this.#channel.request('erase', [subject, retrain]);
  }

  unsettledErasures(): Promise<ErasureReport[]> {
    return this.#channel.request('unsettledErasures', []);
  }

  onUnsettled(listener: () => void): void {
    this.#unsettled.push(listener);
  }

  async noteErasure(note: ErasureNote): Promise<void> {
    await this.#channel.request('noteErasure', [note]);
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
