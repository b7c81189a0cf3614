/**
 * Group commit: runs the writes of a batch in one transaction, then its reads in another one that needs no lock for
 * writing, and makes the replies once the writes are committed.
 *
 * If one of the writes throws, they are undone and run again with a savepoint around each of them, so that only the
 * failing one is undone. If the commit itself fails (a full disk), each write runs again in a transaction of its own, so
 * that one that is too large does not take its neighbours with it.
 *
 * Requests that another program's lock holds up are returned: nothing of them was done, and the caller tries them again.
 *
 * Once a request has met a damaged page, nothing more is written: reads that still succeed are answered, all writes are
 * refused.
 */

import type { HoneError } from '../errors.js';
import { type Database, isResult } from '../sqlite/index.js';
import type { BatchedRequest, WorkerReply } from './messages.js';
import type { PerformOperation } from './operations.js';
import { fromSqlite } from './sqlite-errors.js';
import type { ReplayStatus } from './types.js';
import type { ReplayWriter } from './writer.js';

export interface GroupCommitOptions {
  readonly database: Database;
  /** Null: the file is open for reading only, and `refusal` says why. */
  readonly writer: Pick<ReplayWriter, 'prepare' | 'counts' | 'restoreCounts'> | null;
  /** The database file, for error messages. */
  readonly path: string;
  readonly perform: PerformOperation;
  /** Every write is refused with this error. Default: none. */
  readonly refusal?: HoneError;
}

export interface BatchResult {
  readonly replies: readonly WorkerReply[];
  /** Requests that another program's lock held up. */
  readonly blocked: readonly BatchedRequest[];
}

const writes: ReadonlySet<BatchedRequest['type']> = new Set([
  'admit',
  'complete',
  'write',
  'recordLessons',
  'importRecords',
  'noteErasure',
]);

export function isWrite({ type }: BatchedRequest): boolean {
  return writes.has(type);
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  /** Why nothing is written: the file is open for reading only, or a request met damage. */
  #refusal: HoneError | undefined;
  #damaged = false;
  /** Whether a request threw, as opposed to the beginning or the end of the transaction. */
  #requestThrew = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#refusal = options.refusal;
  }

  /** Why every write is refused; undefined while none is. */
  get refusal(): HoneError | undefined {
    return this.#refusal;
  }

  get isDamaged(): boolean {
    return this.#damaged;
  }

  /** Runs the requests; returns a reply for each that was not held up. */
  run(batch: readonly BatchedRequest[]): BatchResult {
    const blocked: BatchedRequest[] = [];
    const written = this.#write(batch.filter(isWrite), blocked);
    const read = this.#read(
      batch.filter((request) => !isWrite(request)),
      blocked,
    );
    return { replies: [...written, ...read], blocked };
  }

  #write(batch: readonly BatchedRequest[], blocked: BatchedRequest[]): readonly WorkerReply[] {
    if (batch.length === 0) return [];
    const refusal = this.#refusal;
    if (refusal !== undefined) return batch.map(({ id }) => ({ type: 'failed', id, error: refusal.toJSON() }));
    try {
      this.#options.writer?.prepare();
      return this.#commit(batch);
    } catch (thrown) {
      if (!isResult(thrown, 'SQLITE_BUSY')) return batch.map((request) => this.#failed(request, thrown));
      blocked.push(...batch);
      return [];
    }
  }

  #read(batch: readonly BatchedRequest[], blocked: BatchedRequest[]): readonly WorkerReply[] {
    if (batch.length === 0) return [];
    const { database } = this.#options;
    try {
      return database.transaction('deferred', () => batch.map((request) => this.#succeed(request)));
    } catch (thrown) {
      if (batch.length > 1) return batch.flatMap((request) => this.#read([request], blocked));
      const [request] = batch as readonly [BatchedRequest];
      if (!isResult(thrown, 'SQLITE_BUSY')) return [this.#failed(request, thrown)];
      blocked.push(request);
      return [];
    }
  }

  /** @throws the error of SQLite if another program's lock held the batch up */
  #commit(batch: readonly BatchedRequest[]): readonly WorkerReply[] {
    const only = batch.length === 1 ? batch[0] : undefined;
    this.#requestThrew = false;
    try {
      return this.#atomically(() => this.#runTogether(batch));
    } catch (thrown) {
      if (isResult(thrown, 'SQLITE_BUSY')) throw thrown;
      if (only !== undefined) return [this.#failed(only, thrown)];
      return this.#requestThrew ? this.#runWithSavepoints(batch) : this.#runEachAlone(batch);
    }
  }

  #runTogether(batch: readonly BatchedRequest[]): WorkerReply[] {
    this.#requestThrew = true;
    const replies = batch.map((request) => this.#succeed(request));
    this.#requestThrew = false;
    return replies;
  }

  #runWithSavepoints(batch: readonly BatchedRequest[]): readonly WorkerReply[] {
    const { database } = this.#options;
    try {
      return this.#atomically(() =>
        batch.map((request) => {
          try {
            return this.#atomically(() => this.#succeed(request));
          } catch (thrown) {
            // On some errors (a full disk) SQLite ends the whole transaction, so no request of the batch is written.
            if (!database.inTransaction) throw thrown;
            return this.#failed(request, thrown);
          }
        }),
      );
    } catch {
      return this.#runEachAlone(batch);
    }
  }

  #runEachAlone(batch: readonly BatchedRequest[]): readonly WorkerReply[] {
    return batch.map((request) => {
      try {
        return this.#atomically(() => this.#succeed(request));
      } catch (thrown) {
        return this.#failed(request, thrown);
      }
    });
  }

  /** Runs in a transaction, or in a savepoint if a transaction is open. If it throws, file and counts are as before. */
  #atomically<Result>(run: () => Result): Result {
    const { database, writer } = this.#options;
    const counts = writer?.counts();
    try {
      // 'immediate' takes the lock for writing before anything is read.
      return database.transaction('immediate', run);
    } catch (thrown) {
      if (counts !== undefined) writer?.restoreCounts(counts);
      throw thrown;
    }
  }

  #succeed(request: BatchedRequest): WorkerReply {
    const result = this.#options.perform(request);
    if (request.type !== 'status') return { type: 'done', id: request.id, result };
    const refusal = this.#refusal?.toJSON() ?? null;
    return { type: 'done', id: request.id, result: { ...(result as Omit<ReplayStatus, 'refusal'>), refusal } };
  }

  #failed({ id }: BatchedRequest, thrown: unknown): WorkerReply {
    const { database, path } = this.#options;
    const error = fromSqlite(thrown, path);
    if (!this.#damaged && error.code === 'STORE_CORRUPT') {
      this.#damaged = true;
      this.#refusal = error;
      try {
        database.setPragma('query_only', 'ON');
      } catch {
        // The damage may be where SQLite looks first. No write gets as far as that any more.
      }
    }
    return { type: 'failed', id, error: error.toJSON() };
  }
}
