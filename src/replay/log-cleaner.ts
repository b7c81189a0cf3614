/**
 * Clears the write-ahead log, and the free space inside the file's pages, of data that was erased. SQLite can empty the
 * log only while no other connection reads an old state of the file, so an attempt can fail and is repeated.
 */

import type { Database } from '../sqlite/index.js';
import type { Erasures } from './erasure.js';
import { Scrubber } from './scrub.js';

export interface LogCleanerOptions {
  /** The database file. */
  readonly path: string;
  readonly database: Database;
  readonly erasures: Pick<Erasures, 'uncleared' | 'cleared'>;
  /** How long to repeat the attempt, milliseconds. */
  readonly clearForMs: number;
}

/** Time between two attempts while others read. */
const attemptEveryMs = 25;

export class LogCleaner {
  readonly #options: LogCleanerOptions;
  readonly #scrubber: Scrubber;
  /** The callbacks that wait for the log to be cleared, by the timer of the next attempt. */
  readonly #waiting = new Map<NodeJS.Timeout, (cleared: boolean) => void>();

  constructor(options: LogCleanerOptions) {
    this.#options = options;
    this.#scrubber = new Scrubber(options.path, options.database.readNumber('page_size'));
  }

  /** Attempts until the log is clear or `clearForMs` has passed, then calls `settled` with whether it is clear. */
  clearSoon(settled: (cleared: boolean) => void): void {
    const untilMs = performance.now() + this.#options.clearForMs;
    const attempt = (): void => {
      const cleared = this.clear();
      if (cleared || performance.now() >= untilMs) {
        settled(cleared);
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(timer);
        attempt();
      }, attemptEveryMs);
      this.#waiting.set(timer, settled);
    };
    attempt();
  }

  /**
   * Removes every copy of erased data from the log and from the file, without waiting for readers.
   * @returns whether no copy is left
   */
  clear(): boolean {
    const { database, erasures } = this.#options;
    try {
      if (!erasures.uncleared) return true;
      if (!this.#emptyLog()) return false;
      this.#scrubber.scrub();
      // SQLite drops its cached pages, which could otherwise bring the overwritten bytes back.
      database.exec('PRAGMA shrink_memory');
      erasures.cleared();
      return true;
    } catch {
      // The disk failed. The report says `logCleared: false`, and the next opening tries again.
      return false;
    }
  }

  /** Makes a last attempt and calls everything that waits. */
  close(): void {
    for (const [timer, settled] of this.#waiting) {
      clearTimeout(timer);
      settled(this.clear());
    }
  }

  /** Releases the file; call it after SQLite has closed it. */
  dispose(): void {
    this.#scrubber.close();
  }

  /** Moves the log into the file and empties it. Returns false while another connection reads or writes. */
  #emptyLog(): boolean {
    return this.#options.database.readNumber('wal_checkpoint(TRUNCATE)') === 0;
  }
}
