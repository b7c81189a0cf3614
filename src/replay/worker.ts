/**
 * The store's worker thread: the only writer of the file.
 *
 * It opens the file, collects the requests that have arrived and hands them to `group-commit.ts` in batches. While a
 * commit waits for the disk the next requests gather, so the batches grow with the load by themselves.
 *
 * A file that could be opened for reading only, because the disk is full, is opened again every second until that
 * succeeds.
 */

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { HoneError } from '../errors.js';
import type { BatchedRequest, WorkerReply, WorkerRequest, WorkerSettings } from './messages.js';
import { openAgain, openSession, type Session } from './session.js';
import { fromSqlite } from './sqlite-errors.js';
import { WaitingRequests } from './waiting-requests.js';

/** Time between two attempts to open a file for writing that is open for reading only. */
const openAgainEveryMs = 1000;

if (parentPort === null) throw new HoneError('INTERNAL', 'the store worker runs as a worker thread only');
serve(parentPort, workerData as WorkerSettings);

function serve(port: MessagePort, settings: WorkerSettings): void {
  const post = (...replies: readonly WorkerReply[]): void => port.postMessage(replies);
  let session: Session;
  /** The request to close, once it came. */
  let closing: number | undefined;
  try {
    session = openSession(settings, post);
  } catch (thrown) {
    post({ type: 'refused', error: fromSqlite(thrown, settings.path).toJSON() });
    port.close();
    return;
  }
  post({ type: 'opened' });
  session.upkeep?.look();
  const opening = session.upkeep === null ? setInterval(openForWriting, openAgainEveryMs).unref() : undefined;

  const requests = new WaitingRequests({
    waitMs: settings.busyTimeoutMs,
    run(batch) {
      const result = session.commits.run(batch);
      if (session.commits.isDamaged) session.upkeep?.endWrites();
      session.upkeep?.afterCommit();
      return result;
    },
    refuse: ({ id }) => ({ type: 'failed', id, error: busy(settings.path).toJSON() }),
    post: (replies) => post(...replies),
    onEmpty() {
      if (closing !== undefined) close(closing);
    },
  });

  function openForWriting(): void {
    try {
      session = openAgain(session, settings, post);
    } catch {
      // The session is as it was, and the next attempt follows.
      return;
    }
    if (session.upkeep === null) return;
    clearInterval(opening);
    post({ type: 'unsettled' });
    session.upkeep.look();
  }

  function run(batch: readonly BatchedRequest[]): void {
    if (batch.length > 0) requests.run(batch);
  }

  function erase(id: number, [subject, retrain]: readonly [string, boolean]): void {
    const failed = (thrown: unknown): void =>
      post({ type: 'failed', id, error: fromSqlite(thrown, settings.path).toJSON() });
    if (session.upkeep === null) failed(session.commits.refusal);
    else session.upkeep.erase(subject, retrain, (result) => post({ type: 'done', id, result }), failed);
  }

  function close(id: number): void {
    clearInterval(opening);
    session.close();
    post({ type: 'done', id, result: null });
    port.close();
  }

  port.on('message', (first: readonly WorkerRequest[]) => {
    let arrived: readonly WorkerRequest[] | undefined = first;
    let batch: BatchedRequest[] = [];
    while (arrived !== undefined) {
      for (const request of arrived) {
        // Requests that came before an erasure or a close are committed before it.
        if (request.type === 'close') {
          run(batch);
          closing = request.id;
          if (requests.isEmpty) close(request.id);
          return;
        }
        if (request.type === 'erase') {
          run(batch);
          batch = [];
          erase(request.id, request.items);
        } else {
          batch.push(request);
        }
      }
      arrived = (receiveMessageOnPort(port) as { message: readonly WorkerRequest[] } | undefined)?.message;
    }
    run(batch);
  });
}

function busy(path: string): HoneError {
  return new HoneError(
    'STORE_BUSY',
    `Another program holds the lock for writing on the store ${path}, so nothing was written. ` +
      'End its transaction; all acknowledged data is safe.',
    { retryAfterMs: 1000 },
  );
}
