/**
 * The store's worker thread: the only writer of the file.
 *
 * Group commit: it takes whatever has arrived, up to a limit, runs it in one transaction and answers after the commit.
 * While a commit waits for the disk the next requests gather, so the batches grow with the load by themselves. Where one
 * of them throws, the batch is undone and tried again with a savepoint around each request, so that the one is undone
 * alone. When the commit itself fails (a full disk), each request is tried again in a transaction of its own, so that one
 * that is too large does not take its neighbours with it.
 *
 * Once a damaged page has been met, nothing more is written: what still reads can be read, all writes are refused.
 */

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { Exporter } from './exporter.js';
import type { WorkerReply, WorkerRequest, WorkerSettings } from './messages.js';
import { openForWriting } from './open-file.js';
import { prepareReads, statusOf } from './reader.js';
import type { EvictionReport } from './retention.js';
import { fromSqlite } from './sqlite-errors.js';
import { Upkeep } from './upkeep.js';
import { ReplayWriter } from './writer.js';

type Work = Exclude<WorkerRequest, { readonly type: 'close' | 'erase' }>;

if (parentPort === null) throw new HoneError('INTERNAL', 'the store worker runs as a worker thread only');
serve(parentPort, workerData as WorkerSettings);

function serve(port: MessagePort, settings: WorkerSettings): void {
  const post = (...replies: readonly WorkerReply[]): void => port.postMessage(replies);
  let database: Database;
  let writer: ReplayWriter;
  let upkeep: Upkeep;
  try {
    database = openForWriting(settings);
    writer = new ReplayWriter(database);
    const abortedGenerations = writer.abortRunning(settings.nowMs);
    const onEvicted = (report: EvictionReport): void => post({ type: 'evicted', report });
    upkeep = new Upkeep({ ...settings, database, writer, onEvicted, now: Date.now });
    post({ type: 'opened', abortedGenerations, erasures: upkeep.completeErasures() });
    upkeep.look();
  } catch (thrown) {
    post({ type: 'refused', error: fromSqlite(thrown, settings.path).toJSON() });
    port.close();
    return;
  }
  const reads = prepareReads(database);
  const exporter = new Exporter(database);

  function perform(work: Work): unknown {
    switch (work.type) {
      case 'admit':
        return writer.admit(work.items) ?? null;
      case 'complete':
        return writer.complete(work.items) ?? null;
      case 'write':
        return work.items.map((item) => writer.write(item));
      case 'recordLessons':
        writer.recordLessons(work.items);
        return upkeep.noteLessons(work.items) ?? null;
      case 'readGenerations':
        return reads.readGenerations(work.items);
      case 'readScores':
        return reads.readScores(work.items);
      case 'readPreferences':
        return reads.readPreferences(work.items);
      case 'readLessons':
        return reads.readLessons(work.items);
      case 'readEdits':
        return reads.readEdits(work.items);
      case 'recentPrompts':
        return reads.recentPrompts(work.items[0]);
      case 'exportPage':
        return exporter.page(work.items[0]);
      case 'importRecords':
        return work.items.map((record) => writer.import(record));
      case 'status':
        return statusOf(database, writer.counts(), reads, settings);
    }
  }

  /** What is undone in the file is undone in the counts. */
  function undoable<Result>(run: () => Result): Result {
    const before = writer.counts();
    try {
      return run();
    } catch (thrown) {
      writer.restoreCounts(before);
      throw thrown;
    }
  }

  let damage: HoneError | undefined;

  /** A transaction; for one request of a batch that has one already, a savepoint of it. */
  function atomically<Result>(run: () => Result): Result {
    // Takes the lock for writing before anything is read, while there is writing.
    return undoable(() => database.transaction(damage === undefined ? 'immediate' : 'deferred', run));
  }

  function failed(work: Work, thrown: unknown): WorkerReply {
    const error = fromSqlite(thrown, settings.path);
    if (damage === undefined && error.code === 'STORE_CORRUPT') {
      damage = error;
      database.setPragma('query_only', 'ON');
    }
    const shown = damage !== undefined && error.code === 'STORE_LOCKED' ? damage : error;
    return { type: 'failed', id: work.id, error: shown.toJSON() };
  }

  /** Whether a request threw, and not the beginning or the end of the transaction. */
  let requestThrew = false;

  const succeed = (work: Work): WorkerReply => ({ type: 'done', id: work.id, result: perform(work) });

  function performTogether(batch: readonly Work[]): WorkerReply[] {
    requestThrew = true;
    const replies = batch.map(succeed);
    requestThrew = false;
    return replies;
  }

  function performApart(batch: readonly Work[]): WorkerReply[] {
    return batch.map((work) => {
      try {
        return atomically(() => succeed(work));
      } catch (thrown) {
        // SQLite ends the whole transaction on some errors (a full disk): then nothing of the batch stands.
        if (!database.inTransaction) throw thrown;
        return failed(work, thrown);
      }
    });
  }

  function performAlone(work: Work): WorkerReply {
    try {
      return atomically(() => succeed(work));
    } catch (thrown) {
      return failed(work, thrown);
    }
  }

  function run(batch: readonly Work[]): void {
    const only = batch.length === 1 ? batch[0] : undefined;
    let replies: readonly WorkerReply[];
    requestThrew = false;
    try {
      replies = atomically(() => performTogether(batch));
    } catch (thrown) {
      if (only !== undefined) replies = [failed(only, thrown)];
      else replies = requestThrew ? runApart(batch) : batch.map(performAlone);
    }
    post(...replies);
    upkeep.afterCommit();
  }

  function runApart(batch: readonly Work[]): readonly WorkerReply[] {
    try {
      return atomically(() => performApart(batch));
    } catch {
      return batch.map(performAlone);
    }
  }

  function erase(id: number, subject: string): void {
    upkeep.erase(
      subject,
      (result) => post({ type: 'done', id, result }),
      (thrown) => post({ type: 'failed', id, error: fromSqlite(thrown, settings.path).toJSON() }),
    );
  }

  function close(id: number): void {
    upkeep.close();
    try {
      database.readPragma('wal_checkpoint(TRUNCATE)');
    } finally {
      database.close();
      upkeep.dispose();
    }
    post({ type: 'done', id, result: null });
    port.close();
  }

  port.on('message', (first: readonly WorkerRequest[]) => {
    let requests: readonly WorkerRequest[] | undefined = first;
    let batch: Work[] = [];
    let items = 0;
    while (requests !== undefined) {
      for (const request of requests) {
        if (request.type === 'close') {
          if (batch.length > 0) run(batch);
          close(request.id);
          return;
        }
        if (request.type === 'erase') {
          // What was asked before is written before.
          if (batch.length > 0) run(batch);
          batch = [];
          items = 0;
          erase(request.id, request.items[0]);
          continue;
        }
        batch.push(request);
        items += Math.max(1, request.items.length);
        if (items < settings.maxItemsPerCommit) continue;
        run(batch);
        batch = [];
        items = 0;
      }
      requests = (receiveMessageOnPort(port) as { message: readonly WorkerRequest[] } | undefined)?.message;
    }
    if (batch.length > 0) run(batch);
  });
}
