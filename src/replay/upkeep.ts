/**
 * The long work of the store's worker: sweeps that make room, erasures, and the bound of the log. It is cut into
 * transactions so short that the writes between them hardly wait. While writes come, one step runs after each commit;
 * otherwise steps follow directly. While another program holds the lock for writing, the work waits.
 */

import { HoneError } from '../errors.js';
import { type Database, isResult } from '../sqlite/index.js';
import { type ErasureNote, type ErasureReport, Erasures } from './erasure.js';
import { LogBound, type LogHeld } from './log-bound.js';
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
  /** Called when an erasure that was interrupted is complete. */
  readonly onUnsettled: () => void;
  readonly onLogHeld: (held: LogHeld) => void;
  readonly now: () => number;
  /** How long to try to clear the log of erased data while others read it, milliseconds. */
  readonly clearForMs: number;
  /** How long an erasure waits for another program's lock before its caller is answered, milliseconds. */
  readonly busyTimeoutMs: number;
  readonly maxLogBytes: number;
  readonly logHeldAfterMs: number;
}

interface Task {
  readonly steps: Generator<void, unknown>;
  readonly done: (result: unknown) => void;
  readonly failed: (thrown: unknown) => void;
  /** Called when another program's lock holds the task up; returns whether the task is given up. */
  readonly heldUp: (thrown: unknown) => boolean;
}

/** Longest transaction, roughly. */
const stepMs = 8;
/** Time between two looks at age and bytes while nothing is written. */
const lookEveryMs = 1000;
/** Time without a sweep after one that failed or found nothing to remove. */
const restMs = 900;
/** Time between two attempts of a task that another program's lock holds up. */
const tryEveryMs = 50;

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #retention: Retention;
  readonly #erasures: Erasures;
  readonly #cleaner: LogCleaner;
  readonly #timer: NodeJS.Timeout;
  readonly log: LogBound;
  /** Erasures run before the sweep. */
  readonly #erasing: Task[] = [];
  #sweeping: Task | undefined;
  /** Code of the failure that was reported last. */
  #sweepFailure: string | undefined;
  #restUntilMs = 0;
  #planned: NodeJS.Immediate | undefined;
  /** The next attempt of a task that another program's lock holds up. */
  #retry: NodeJS.Timeout | undefined;
  /** Whether nothing may be written to the file any more. */
  #writesEnded = false;
  #closed = false;

  constructor(options: UpkeepOptions) {
    const { database, writer } = options;
    this.#options = options;
    this.#retention = new Retention(database, writer.remover, options);
    this.#erasures = new Erasures(database, writer.remover);
    this.#cleaner = new LogCleaner({ ...options, erasures: this.#erasures });
    this.log = new LogBound(options);
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  /**
   * Completes the erasures that a crash interrupted and clears the log of the erased data; part of opening. If the disk is
   * full, or another program holds the lock, what is left is done as soon as that has ended.
   * @throws errors of SQLite, but those two
   */
  completeErasures(): void {
    const { database, writer, now, path } = this.#options;
    try {
      writer.prepare();
      const steps = this.#erasures.complete(now);
      for (let done: boolean | undefined = false; done !== true; ) {
        const counts = writer.counts();
        try {
          ({ done } = database.transaction('immediate', () => steps.next()));
        } catch (thrown) {
          writer.restoreCounts(counts);
          throw thrown;
        }
      }
      this.#cleaner.clear();
    } catch (thrown) {
      const { code } = fromSqlite(thrown, path);
      if (code !== 'STORE_FULL' && code !== 'STORE_BUSY') throw thrown;
    }
  }

  /** Does what is due: erasures that were interrupted, a log that is too long, a sweep. A timer repeats the call. */
  look(): void {
    if (this.#closed || this.#writesEnded) return;
    this.#resumeErasures();
    this.#lookAtLog();
    this.#sweepIf(() => this.#retention.isOverAge(this.#options.now()) || this.#retention.isOverBytes());
  }

  /** Called after each commit: begins a sweep if the store uses too many bytes, and runs one step of the work. */
  afterCommit(): void {
    this.#sweepIf(() => this.#retention.isOverBytes());
    if (this.#retry === undefined) this.#step();
  }

  /** Ends the sweep in progress and begins nothing more, because the store is damaged and takes no writes. */
  endWrites(): void {
    this.#writesEnded = true;
    this.#sweeping = undefined;
  }

  /**
   * Erases a subject. `done` is called when the erasure is on disk and the log is cleared, or cannot be cleared yet. If
   * another program's lock holds it up for long, `failed` is called. Once it has begun, it goes on all the same.
   */
  erase(
    subject: string,
    retrain: boolean,
    done: (report: ErasureReport) => void,
    failed: (thrown: unknown) => void,
  ): void {
    const steps = this.#erasures.erase(subject, retrain, this.#options.now);
    let answer = { done, failed };
    let begun = false;
    const untilMs = performance.now() + this.#options.busyTimeoutMs;
    const watched = (function* (): Generator<void, unknown> {
      for (;;) {
        const { done: ended, value } = steps.next();
        if (ended === true) return value;
        begun = true;
        yield;
      }
    })();
    this.#erasing.push({
      steps: watched,
      done: (report) =>
        this.#cleaner.clearSoon((logCleared) =>
          answer.done({ ...(report as Omit<ErasureReport, 'logCleared'>), logCleared }),
        ),
      failed: (thrown) => answer.failed(thrown),
      heldUp: (thrown) => {
        if (performance.now() < untilMs) return false;
        answer.failed(thrown);
        const { onUnsettled } = this.#options;
        answer = { done: onUnsettled, failed: () => undefined };
        return !begun;
      },
    });
    this.#plan();
  }

  /** Erasures whose data is removed, but that are not reported or whose lessons are not taken back. */
  unsettled(): ErasureReport[] {
    return this.#erasures.unsettled();
  }

  /** Records how far an erasure has come, inside the transaction of the request. */
  noteErasure(note: ErasureNote): void {
    this.#erasures.note(note);
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
    clearTimeout(this.#retry);
    this.#cleaner.close();
    const closing = new HoneError('DRAINING', 'the store was closed; the erasure continues at its next opening');
    for (const task of this.#erasing.splice(0)) task.failed(closing);
  }

  /** Goes on with erasures that a full disk, or a crash before a full disk, interrupted. */
  #resumeErasures(): void {
    if (this.#erasing.length > 0) return;
    try {
      if (!this.#erasures.unfinished) return;
    } catch {
      // A read that fails is reported to the caller of the next request.
      return;
    }
    this.#erasing.push({
      steps: this.#erasures.complete(this.#options.now),
      done: () => this.#cleaner.clearSoon(() => this.#options.onUnsettled()),
      // The next look tries again.
      failed: () => undefined,
      heldUp: () => true,
    });
    this.#plan();
  }

  #lookAtLog(): void {
    try {
      this.log.look(this.#retention.isOverBytesWith(this.log.logBytes));
    } catch {
      // The disk is full or fails, which writes report. The next look tries again.
    }
  }

  #sweepIf(isOver: () => boolean): void {
    if (this.#sweeping !== undefined || this.#writesEnded || this.#closed || performance.now() < this.#restUntilMs)
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
      // It waits, and nobody waits for it.
      heldUp: () => false,
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
    if (this.#closed || this.#planned !== undefined || this.#retry !== undefined) return;
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
    let counts = writer.counts();
    let result: IteratorResult<void, unknown>;
    try {
      writer.prepare();
      counts = writer.counts();
      result = database.transaction('immediate', () => advance(task.steps));
    } catch (thrown) {
      if (isResult(thrown, 'SQLITE_BUSY')) {
        // The transaction has not begun, so the task stands where it stood.
        this.#heldUp(thrown);
        return;
      }
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

  #heldUp(thrown: unknown): void {
    const kept = this.#erasing.filter((task) => !task.heldUp(thrown));
    this.#erasing.splice(0, this.#erasing.length, ...kept);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#step();
    }, tryEveryMs);
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
