/**
 * The long work of the store's worker: sweeps that make room, and erasures. It is cut into transactions so short that the
 * writes between them hardly wait. While writes come, one step runs after each commit; otherwise steps follow directly.
 */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { type ErasureReport, Erasures } from './erasure.js';
import { LogCleaner } from './log-cleaner.js';
import { type EvictionReport, Retention, type RetentionSettings } from './retention.js';
import { fromSqlite } from './sqlite-errors.js';
import type { Lesson } from './types.js';
import type { ReplayWriter } from './writer.js';

export interface UpkeepOptions extends RetentionSettings {
  /** The database file. */
  readonly path: string;
  readonly database: Database;
  readonly writer: ReplayWriter;
  readonly onEvicted: (report: EvictionReport) => void;
  /** Called when a sweep fails; called again only for another code, or after a sweep that succeeded. */
  readonly onSweepFailed: (error: HoneError) => void;
  readonly now: () => number;
  /** How long to try to clear the log of erased data while others read it, milliseconds. */
  readonly clearForMs: number;
}

interface Task {
  readonly steps: Generator<void, unknown>;
  readonly done: (result: unknown) => void;
  readonly failed: (thrown: unknown) => void;
}

/** Longest transaction, roughly. */
const stepMs = 8;
/** Time between two looks at age and bytes while nothing is written. */
const lookEveryMs = 1000;
/** Time without a sweep after one that failed or found nothing to remove. */
const restMs = 900;

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #retention: Retention;
  readonly #erasures: Erasures;
  readonly #cleaner: LogCleaner;
  readonly #timer: NodeJS.Timeout;
  /** Erasures run before the sweep. */
  readonly #erasing: Task[] = [];
  #sweeping: Task | undefined;
  /** Code of the failure that was reported last. */
  #sweepFailure: string | undefined;
  #restUntilMs = 0;
  #planned: NodeJS.Immediate | undefined;
  /** Whether nothing may be written to the file any more. */
  #sweepsEnded = false;
  #closed = false;

  constructor(options: UpkeepOptions) {
    const { database, writer } = options;
    this.#options = options;
    this.#retention = new Retention(database, writer.remover, options);
    this.#erasures = new Erasures(database, writer.remover);
    this.#cleaner = new LogCleaner({ ...options, erasures: this.#erasures });
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  /** Completes the erasures that a crash interrupted and clears the log of the erased data; part of opening. */
  completeErasures(): ErasureReport[] {
    const { database, now } = this.#options;
    const steps = this.#erasures.complete(now);
    for (;;) {
      const { done, value } = database.transaction('immediate', () => steps.next());
      if (done !== true) continue;
      const logCleared = this.#cleaner.clear();
      return value.map((report) => ({ ...report, logCleared }));
    }
  }

  /** Begins a sweep if a generation is too old or the store uses too many bytes. A timer repeats the call. */
  look(): void {
    this.#sweepIf(() => this.#retention.isOverAge(this.#options.now()) || this.#retention.isOverBytes());
  }

  /** Called after each commit: begins a sweep if the store uses too many bytes, and runs one step of the work. */
  afterCommit(): void {
    this.#sweepIf(() => this.#retention.isOverBytes());
    this.#step();
  }

  /** Ends the sweep in progress and begins no other one, because the store is damaged and takes no writes. */
  endSweeps(): void {
    this.#sweepsEnded = true;
    this.#sweeping = undefined;
  }

  /** Erases a subject. `done` is called when the erasure is on disk and the log is cleared, or cannot be cleared yet. */
  erase(subject: string, done: (report: ErasureReport) => void, failed: (thrown: unknown) => void): void {
    this.#erasing.push({
      steps: this.#erasures.erase(subject, this.#options.now),
      done: (report) =>
        this.#cleaner.clearSoon((logCleared) => done({ ...(report as Omit<ErasureReport, 'logCleared'>), logCleared })),
      failed,
    });
    this.#plan();
  }

  /** Notes what versions learned from, inside the transaction that records it. */
  noteLessons(lessons: readonly Lesson[]): void {
    this.#erasures.noteLessons(lessons);
  }

  /** Releases the file; call it after SQLite has closed it. */
  dispose(): void {
    this.#cleaner.dispose();
  }

  /** Ends after the step in flight. The next sweep finds what is left; the next opening completes an erasure. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearImmediate(this.#planned);
    this.#cleaner.close();
    const closing = new HoneError('DRAINING', 'the store was closed; the erasure continues at its next opening');
    for (const task of this.#erasing.splice(0)) task.failed(closing);
  }

  #sweepIf(isOver: () => boolean): void {
    if (this.#sweeping !== undefined || this.#sweepsEnded || this.#closed || performance.now() < this.#restUntilMs)
      return;
    try {
      if (isOver()) this.#sweep();
      else this.#sweepFailure = undefined;
    } catch (thrown) {
      this.#sweepFailed(thrown);
    }
  }

  #sweep(): void {
    this.#sweeping = {
      steps: this.#retention.sweep(this.#options.now()),
      done: (result) => {
        this.#sweepFailure = undefined;
        const report = result as EvictionReport;
        if (report.generations > 0) this.#options.onEvicted(report);
        else this.#rest();
      },
      failed: (thrown) => this.#sweepFailed(thrown),
    };
    this.#plan();
  }

  /** Reports the failure. The store continues to serve, and a later look tries again. */
  #sweepFailed(thrown: unknown): void {
    this.#rest();
    const error = fromSqlite(thrown, this.#options.path);
    if (error.code === this.#sweepFailure) return;
    this.#sweepFailure = error.code;
    this.#options.onSweepFailed(error);
  }

  #rest(): void {
    this.#restUntilMs = performance.now() + restMs;
  }

  #plan(): void {
    if (this.#closed || this.#planned !== undefined) return;
    if (this.#erasing.length === 0 && this.#sweeping === undefined) return;
    this.#planned = setImmediate(() => {
      this.#planned = undefined;
      this.#step();
    });
  }

  #step(): void {
    const task = this.#erasing[0] ?? this.#sweeping;
    if (task === undefined || this.#closed) return;
    const { database, writer } = this.#options;
    const counts = writer.counts();
    let result: IteratorResult<void, unknown>;
    try {
      result = database.transaction('immediate', () => advance(task.steps));
    } catch (thrown) {
      writer.restoreCounts(counts);
      this.#drop(task);
      task.failed(thrown);
      this.#plan();
      return;
    }
    if (result.done === true) {
      this.#drop(task);
      task.done(result.value);
    }
    this.#plan();
  }

  #drop(task: Task): void {
    if (task === this.#sweeping) this.#sweeping = undefined;
    else this.#erasing.shift();
  }
}

/** Advances for the time of one transaction. */
function advance(steps: Generator<void, unknown>): IteratorResult<void, unknown> {
  const untilMs = performance.now() + stepMs;
  for (;;) {
    const result = steps.next();
    if (result.done === true || performance.now() >= untilMs) return result;
  }
}
