/**
 * The requests that wait because another program holds a lock on the store's file.
 *
 * SQLite could wait for the lock by itself, but then the whole thread would, and with it the reads that need no lock.
 * So a request whose transaction cannot begin is kept here and tried again every few milliseconds. After `waitMs` it is
 * refused. Writes keep their order: a later one is never tried before an earlier one.
 */

import { type BatchResult, isWrite } from './group-commit.js';
import type { BatchedRequest, WorkerReply } from './messages.js';

export interface WaitingRequestsOptions {
  /** How long a request waits before it is refused, milliseconds. */
  readonly waitMs: number;
  /** Runs requests; returns those that another program's lock still holds up. */
  readonly run: (batch: readonly BatchedRequest[]) => BatchResult;
  readonly refuse: (request: BatchedRequest) => WorkerReply;
  readonly post: (replies: readonly WorkerReply[]) => void;
  /** Called when no request waits any more. */
  readonly onEmpty: () => void;
}

interface Waiting {
  readonly request: BatchedRequest;
  readonly untilMs: number;
}

/** Time between two attempts. */
const tryEveryMs = 20;
/** Items of one commit: a batch ends with the request that reaches this number. */
const maxItemsPerCommit = 1024;

export class WaitingRequests {
  readonly #options: WaitingRequestsOptions;
  #waiting: readonly Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WaitingRequestsOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Runs these requests behind those that wait already. */
  run(requests: readonly BatchedRequest[]): void {
    const { waitMs } = this.#options;
    const arrivedMs = performance.now();
    const added = requests.map((request): Waiting => ({ request, untilMs: arrivedMs + waitMs }));
    const left: Waiting[] = [];
    // The lock may go free at any time. A later batch that is written now would overtake one that was held up.
    let writesWait = false;
    for (const batch of batches([...this.#waiting, ...added])) {
      const all = batch.map(({ request }) => request);
      const kept = writesWait ? all.filter(isWrite) : [];
      const { replies, blocked } = this.#options.run(writesWait ? all.filter((request) => !isWrite(request)) : all);
      writesWait ||= blocked.some(isWrite);
      const held = new Set([...kept, ...blocked]);
      const nowMs = performance.now();
      const blockedHere = batch.filter(({ request }) => held.has(request));
      left.push(...blockedHere.filter(({ untilMs }) => untilMs > nowMs));
      const late = blockedHere.filter(({ untilMs }) => untilMs <= nowMs);
      const answers = [...replies, ...late.map(({ request }) => this.#options.refuse(request))];
      if (answers.length > 0) this.#options.post(answers);
    }
    this.#waiting = left;
    if (left.length === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#options.onEmpty();
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.run([]);
    }, tryEveryMs);
  }
}

function* batches(waiting: readonly Waiting[]): Generator<readonly Waiting[]> {
  let batch: Waiting[] = [];
  let items = 0;
  for (const one of waiting) {
    batch.push(one);
    items += Math.max(1, one.request.items.length);
    if (items < maxItemsPerCommit) continue;
    yield batch;
    batch = [];
    items = 0;
  }
  if (batch.length > 0) yield batch;
}
