/**
 * Keeps the store's write-ahead log within a bound.
 *
 * SQLite moves the log into the file as it grows, and then writes it again from its beginning. Two things make it long: a
 * large transaction, and another program that reads an old state of the file, because what came after that state must
 * stay in the log. After such a time the log would keep its size for good. So it is looked at every second, and emptied
 * when it is too long. A program that keeps it from being emptied for long is reported, once.
 */

import { statSync } from 'node:fs';
import type { Database } from '../sqlite/index.js';

/** A log that cannot be emptied. */
export interface LogHeld {
  readonly logBytes: number;
  readonly maxLogBytes: number;
  /** How long it could not be emptied, milliseconds. */
  readonly heldMs: number;
}

export interface LogBoundOptions {
  /** The database file. */
  readonly path: string;
  readonly database: Database;
  /** A longer log is emptied. */
  readonly maxLogBytes: number;
  /** How long a log that is too long must resist before that is reported, milliseconds. */
  readonly logHeldAfterMs: number;
  readonly onLogHeld: (held: LogHeld) => void;
}

/** `held` has `reported` once the report is made, so that it is made once until the log was emptied. */
type State =
  | { readonly is: 'within' }
  | { readonly is: 'held'; readonly sinceMs: number; readonly atMs: number; readonly reported: boolean };

/** Time between two attempts to empty a log that another program holds. An attempt costs more the longer the log is. */
const attemptEveryMs = 2000;

export class LogBound {
  readonly #options: LogBoundOptions;
  #state: State = { is: 'within' };
  #attemptedMs = Number.NEGATIVE_INFINITY;

  constructor(options: LogBoundOptions) {
    this.#options = options;
  }

  /** Bytes of the log. */
  get logBytes(): number {
    return sizeOf(`${this.#options.path}-wal`);
  }

  /** Since when another program keeps a log that is too long from being emptied, milliseconds since 1970. */
  get heldSinceMs(): number | null {
    return this.#state.is === 'held' ? this.#state.atMs : null;
  }

  /**
   * Empties the log if it is too long. Call it every second or so.
   * @param isOver whether the store is over its bytes if the log counts, so that even a shorter log is emptied
   * @throws errors of SQLite, such as a full disk
   */
  look(isOver: boolean): void {
    const { logBytes } = this;
    const isTooLong = logBytes > this.#options.maxLogBytes;
    if (!isTooLong) this.#state = { is: 'within' };
    if (logBytes === 0 || !(isTooLong || isOver)) return;
    const nowMs = performance.now();
    if (nowMs - this.#attemptedMs < attemptEveryMs && this.#state.is === 'held') {
      this.#reportIfLong(nowMs, logBytes);
      return;
    }
    this.#attemptedMs = nowMs;
    // The first column is 1 if another connection was in the way.
    if (this.#options.database.readNumber('wal_checkpoint(TRUNCATE)') === 0) {
      this.#state = { is: 'within' };
      return;
    }
    if (!isTooLong) return;
    if (this.#state.is === 'within') this.#state = { is: 'held', sinceMs: nowMs, atMs: Date.now(), reported: false };
    this.#reportIfLong(nowMs, logBytes);
  }

  #reportIfLong(nowMs: number, logBytes: number): void {
    if (this.#state.is !== 'held' || this.#state.reported) return;
    const { maxLogBytes, logHeldAfterMs, onLogHeld } = this.#options;
    const heldMs = nowMs - this.#state.sinceMs;
    if (heldMs < logHeldAfterMs) return;
    this.#state = { ...this.#state, reported: true };
    onLogHeld({ logBytes, maxLogBytes, heldMs });
  }
}

/** Bytes of a file; 0 if there is none. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
