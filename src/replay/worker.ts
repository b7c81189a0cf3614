/**
 * The store's worker thread: the only writer of the file.
 *
 * It opens the file, collects the requests that have arrived and hands them to `group-commit.ts` in batches. While a
 * commit waits for the disk the next requests gather, so the batches grow with the load by themselves.
 */

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { Database } from '../sqlite/index.js';
import { GroupCommit } from './group-commit.js';
import type { BatchedRequest, WorkerReply, WorkerRequest, WorkerSettings } from './messages.js';
import { openForWriting } from './open-file.js';
import { createOperations } from './operations.js';
import { fromSqlite } from './sqlite-errors.js';
import { Upkeep } from './upkeep.js';
import { ReplayWriter } from './writer.js';

/** Items of one commit: a batch ends with the request that reaches this number. */
const maxItemsPerCommit = 1024;

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
    writer.abortRunning(settings.nowMs);
    upkeep = new Upkeep({
      ...settings,
      database,
      writer,
      onEvicted: (report) => post({ type: 'evicted', report }),
      onSweepFailed: (error) => post({ type: 'sweep_failed', error: error.toJSON() }),
      now: Date.now,
    });
    post({ type: 'opened', erasures: upkeep.completeErasures() });
    upkeep.look();
  } catch (thrown) {
    post({ type: 'refused', error: fromSqlite(thrown, settings.path).toJSON() });
    port.close();
    return;
  }
  const perform = createOperations({ database, writer, upkeep, retention: settings });
  const commits = new GroupCommit({ database, writer, path: settings.path, perform });

  function commit(batch: readonly BatchedRequest[]): void {
    if (batch.length === 0) return;
    post(...commits.run(batch));
    if (commits.isDamaged) upkeep.endSweeps();
    upkeep.afterCommit();
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
    let batch: BatchedRequest[] = [];
    let items = 0;
    const flush = (): void => {
      commit(batch);
      batch = [];
      items = 0;
    };
    while (requests !== undefined) {
      for (const request of requests) {
        // Requests that came before a close or an erasure are committed before it.
        if (request.type === 'close') {
          flush();
          close(request.id);
          return;
        }
        if (request.type === 'erase') {
          flush();
          erase(request.id, request.items[0]);
          continue;
        }
        batch.push(request);
        items += Math.max(1, request.items.length);
        if (items >= maxItemsPerCommit) flush();
      }
      requests = (receiveMessageOnPort(port) as { message: readonly WorkerRequest[] } | undefined)?.message;
    }
    flush();
  });
}
