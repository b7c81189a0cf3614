/**
 * Group commit: runs a batch of requests in one transaction and makes the replies once it is committed.
 *
 * If one of the requests throws, the batch is undone and runs again with a savepoint around each request, so that only
 * the failing request is undone. If the commit itself fails (a full disk), each request runs again in a transaction of
 * its own, so that one that is too large does not take its neighbours with it.
 *
 * Once a request has met a damaged page, nothing more is written: reads that still succeed are answered, all writes are
 * refused.
 */

import type { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import type { BatchedRequest, WorkerReply } from './messages.js';
import type { PerformOperation } from './operations.js';
import { fromSqlite } from './sqlite-errors.js';
import type { ReplayWriter } from './writer.js';

export interface GroupCommitOptions {
  readonly database: Database;
  readonly writer: Pick<ReplayWriter, 'counts' | 'restoreCounts'>;
  /** The database file, for error messages. */
  readonly path: string;
  readonly perform: PerformOperation;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  /** The first damage that a request met. */
  #damage: HoneError | undefined;
  /** Whether a request threw, as opposed to the beginning or the end of the transaction. */
  #requestThrew = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  get isDamaged(): boolean {
    return this.#damage !== undefined;
  }

  /** Runs the requests; returns one reply for each, in their order. */
  run(batch: readonly BatchedRequest[]): readonly WorkerReply[] {
    const only = batch.length === 1 ? batch[0] : undefined;
    this.#requestThrew = false;
    try {
      return this.#atomically(() => this.#runTogether(batch));
    } catch (thrown) {
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
    const counts = writer.counts();
    try {
      // 'immediate' takes the lock for writing before anything is read; a damaged store is only read.
      return database.transaction(this.#damage === undefined ? 'immediate' : 'deferred', run);
    } catch (thrown) {
      writer.restoreCounts(counts);
      throw thrown;
    }
  }

  #succeed(request: BatchedRequest): WorkerReply {
    return { type: 'done', id: request.id, result: this.#options.perform(request) };
  }

  #failed({ id }: BatchedRequest, thrown: unknown): WorkerReply {
    const { database, path } = this.#options;
    const error = fromSqlite(thrown, path);
    if (this.#damage === undefined && error.code === 'STORE_CORRUPT') {
      this.#damage = error;
      database.setPragma('query_only', 'ON');
    }
    // With query_only, SQLite refuses a write as if the file were read-only; the caller needs to know of the damage.
    const reported = this.#damage !== undefined && error.code === 'STORE_LOCKED' ? this.#damage : error;
    return { type: 'failed', id, error: reported.toJSON() };
  }
}
