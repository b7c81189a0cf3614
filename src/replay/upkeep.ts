/**
 * Long work of the store's worker - sweeps and erasures - in transactions so short that the writes between them hardly
 * wait: one after each commit while writes come, one after another while none do.
 */

import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { type ErasureReport, Erasures } from './erasure.js';
import { type EvictionReport, Retention, type RetentionSettings } from './retention.js';
import { Scrubber } from './scrub.js';
import type { Lesson } from './types.js';
import type { ReplayWriter } from './writer.js';

export interface UpkeepOptions extends RetentionSettings {
  /** The database file. */
  readonly path: string;
  readonly database: Database;
  readonly writer: ReplayWriter;
  readonly onEvicted: (report: EvictionReport) => void;
  readonly now: () => number;
  /** How long the log is tried to be cleared of what was erased while others read. */
  readonly clearForMs: number;
}

interface Task {
  readonly steps: Generator<void, unknown>;
  readonly done: (result: unknown) => void;
  readonly failed: (thrown: unknown) => void;
}

/** Longest transaction, about. */
const stepMs = 8;
/** How often age and bytes are looked at while nothing is written. */
const lookEveryMs = 1000;
/** How long nothing is swept after a sweep that failed or found nothing to remove. */
const restMs = 900;
/** How often the log is tried to be cleared while others read. */
const clearEveryMs = 25;

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #retention: Retention;
  readonly #erasures: Erasures;
  readonly #scrubber: Scrubber;
  readonly #timer: NodeJS.Timeout;
  /** They come before the sweep. */
  readonly #erasing: Task[] = [];
  #sweeping: Task | undefined;
  /** Erasures that are done but for the log. */
  readonly #clearing = new Map<NodeJS.Timeout, (cleared: boolean) => void>();
  #restUntilMs = 0;
  #planned: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(options: UpkeepOptions) {
    const { database, writer } = options;
    this.#options = options;
    this.#retention = new Retention(database, writer.remover, options);
    this.#erasures = new Erasures(database, writer.remover);
    this.#scrubber = new Scrubber(options.path, database.readNumber('page_size'));
    this.#timer = setInterval(() => this.look(), lookEveryMs).unref();
  }

  /** Completes erasures that were cut off and clears the log of what they erased; part of opening. */
  completeErasures(): ErasureReport[] {
    const { database, now } = this.#options;
    const steps = this.#erasures.complete(now);
    for (;;) {
      const { done, value } = database.transaction('immediate', () => steps.next());
      if (done !== true) continue;
      const logCleared = this.#clear();
      return value.map((report) => ({ ...report, logCleared }));
    }
  }

  /** Begins a sweep where age or bytes ask for one; part of opening, and repeated by itself. */
  look(): void {
    this.#sweepWhere(() => this.#retention.isOverAge(this.#options.now()) || this.#retention.isOverBytes());
  }

  /** Called after each commit: begins a sweep where the store has grown over its bytes, and does one step of what is to do. */
  afterCommit(): void {
    this.#sweepWhere(() => this.#retention.isOverBytes());
    this.#step();
  }

  /** Erases a subject; `done` is called when it is on disk, and out of the log where nobody reads an old state of it. */
  erase(subject: string, done: (report: ErasureReport) => void, failed: (thrown: unknown) => void): void {
    this.#erasing.push({
      steps: this.#erasures.erase(subject, this.#options.now),
      done: (report) =>
        this.#clearLogSoon((logCleared) => done({ ...(report as Omit<ErasureReport, 'logCleared'>), logCleared })),
      failed,
    });
    this.#plan();
  }

  /** What versions learned from; inside the transaction that records it. */
  noteLessons(lessons: readonly Lesson[]): void {
    this.#erasures.noteLessons(lessons);
  }

  /** After the file was closed. */
  dispose(): void {
    this.#scrubber.close();
  }

  /** Ends after the step in flight; what is left is found again by the next sweep, or completed at the next opening. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearImmediate(this.#planned);
    for (const [timer, told] of this.#clearing) {
      clearTimeout(timer);
      told(this.#clear());
    }
    const closing = new HoneError('DRAINING', 'the store was closed; the erasure goes on at its next opening');
    for (const task of this.#erasing.splice(0)) task.failed(closing);
  }

  #sweepWhere(isOver: () => boolean): void {
    if (this.#sweeping !== undefined || this.#closed || performance.now() < this.#restUntilMs) return;
    try {
      if (isOver()) this.#sweep();
    } catch {
      // What cannot be read is told to whoever asks for it; nothing is removed from a damaged store.
      this.#restUntilMs = performance.now() + restMs;
    }
  }

  #sweep(): void {
    const rest = (): void => {
      this.#restUntilMs = performance.now() + restMs;
    };
    this.#sweeping = {
      steps: this.#retention.sweep(this.#options.now()),
      done: (result) => {
        const report = result as EvictionReport;
        if (report.generations > 0) this.#options.onEvicted(report);
        else rest();
      },
      // A disk without room even for removing: later, perhaps.
      failed: rest,
    };
    this.#plan();
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

  #clearLogSoon(told: (cleared: boolean) => void): void {
    const untilMs = performance.now() + this.#options.clearForMs;
    const attempt = (): void => {
      const cleared = this.#clear();
      if (cleared || performance.now() >= untilMs) {
        told(cleared);
        return;
      }
      const timer = setTimeout(() => {
        this.#clearing.delete(timer);
        attempt();
      }, clearEveryMs);
      this.#clearing.set(timer, told);
    };
    attempt();
  }

  /** Leaves no copy of what was erased in the log or in the file, without waiting for readers. */
  #clear(): boolean {
    if (!this.#erasures.uncleared) return true;
    try {
      if (!this.#clearLog()) return false;
      this.#scrubber.scrub();
      // Pages that were read before are read anew.
      this.#options.database.exec('PRAGMA shrink_memory');
      this.#erasures.cleared();
      return true;
    } catch {
      // A disk that fails: the answer says that copies may be left, and the next opening tries again.
      return false;
    }
  }

  /** Moves the log into the file and empties it. */
  #clearLog(): boolean {
    const { database } = this.#options;
    const timeoutMs = database.readNumber('busy_timeout');
    database.setPragma('busy_timeout', 0);
    try {
      const busy = database.readNumber('wal_checkpoint(TRUNCATE)');
      return busy === 0;
    } finally {
      database.setPragma('busy_timeout', timeoutMs);
    }
  }
}

/** Goes on for one transaction's time. */
function advance(steps: Generator<void, unknown>): IteratorResult<void, unknown> {
  const untilMs = performance.now() + stepMs;
  for (;;) {
    const result = steps.next();
    if (result.done === true || performance.now() >= untilMs) return result;
  }
}
