/**
 * Feedback over one long call. Items that are sent in the same turn of the event loop travel in one message, even if
 * `ready()` was awaited between them. Each item is acknowledged when it is on disk. At most `maxUnanswered` items are
 * unacknowledged, because `ready()` waits for room.
 */

import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { FeedbackItem as FeedbackItemMessage } from '../proto/generated/hone/v1/FeedbackItem.js';
import type { StreamFeedbackRequest } from '../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse__Output } from '../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { toFeedbackOutcome } from './answers.js';
import { HoneClientError } from './errors.js';
import { toFeedbackMessage } from './requests.js';
import type { FeedbackItem, FeedbackOutcome } from './types/index.js';

/** Most items that the server accepts in one message. */
const mostItemsPerMessage = 1000;

interface Pending {
  readonly resolve: (outcome: FeedbackOutcome) => void;
  readonly reject: (error: HoneClientError) => void;
}

/** Settings of a {@link FeedbackStream}. */
export interface FeedbackStreamOptions {
  /** Most unacknowledged items before `ready()` waits. Default 1000. */
  readonly maxUnanswered?: number;
  /** Most items in one message; with fewer, each item costs more. Default 1000, which is the server's limit. */
  readonly maxItemsPerMessage?: number;
}

export class FeedbackStream {
  readonly #call: ClientDuplexStream<StreamFeedbackRequest, StreamFeedbackResponse__Output>;
  readonly #maxUnanswered: number;
  readonly #maxItemsPerMessage: number;
  /** Items that are not written yet. */
  #outbox: FeedbackItemMessage[] = [];
  /** Items without an outcome, oldest first. Outcomes arrive in this order. */
  readonly #pending: Pending[] = [];
  /** half-closed: everything is written, and the stream waits for the answers. */
  #state: 'open' | 'closing' | 'half-closed' | 'closed' = 'open';
  #blocked = false;
  #flushPlanned = false;
  #failure: HoneClientError | undefined;
  #waiting: (() => void)[] = [];
  readonly #ended: Promise<void>;

  /** Use {@link HoneClient.feedbackStream}. */
  constructor(
    call: ClientDuplexStream<StreamFeedbackRequest, StreamFeedbackResponse__Output>,
    options: FeedbackStreamOptions = {},
  ) {
    this.#call = call;
    this.#maxUnanswered = options.maxUnanswered ?? 1000;
    this.#maxItemsPerMessage = Math.min(options.maxItemsPerMessage ?? mostItemsPerMessage, mostItemsPerMessage);
    call.on('data', (response: StreamFeedbackResponse__Output) => this.#answer(response));
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    this.#ended = new Promise((resolve) => {
      call.once('error', (error) => {
        this.#end(HoneClientError.from(error));
        resolve();
      });
      call.once('end', () => {
        this.#end(undefined);
        resolve();
      });
    });
  }

  /** Number of items that are sent and not acknowledged. */
  get unanswered(): number {
    return this.#pending.length;
  }

  /**
   * Sends an item. The promise resolves when the item is on disk or refused. It rejects if the call fails before; then
   * the item may or may not be stored, and it is safe to send it again with the same `idempotencyKey`.
   */
  send(item: FeedbackItem): Promise<FeedbackOutcome> {
    const outcome = new Promise<FeedbackOutcome>((resolve, reject) => {
      if (this.#state !== 'open') {
        reject(this.#failure ?? closedError());
        return;
      }
      this.#pending.push({ resolve, reject });
      this.#outbox.push(toFeedbackMessage(item));
      this.#planFlush();
    });
    // A caller that ignores single outcomes learns of a failed call from `ready` and `close`.
    outcome.catch(() => undefined);
    return outcome;
  }

  /** Resolves when there is room for another item. @throws HoneClientError if the call has failed */
  async ready(): Promise<void> {
    while (this.#failure === undefined && (this.#blocked || this.#pending.length >= this.#maxUnanswered)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Sends the remaining items, waits until all are acknowledged, and ends the call. @throws HoneClientError */
  async close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#flush();
    }
    await this.#ended;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Cancels the call. Unacknowledged items may or may not be stored. */
  cancel(): void {
    this.#call.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    setImmediate(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#blocked && this.#outbox.length > 0) {
      const items = this.#outbox.splice(0, this.#maxItemsPerMessage);
      this.#blocked = !this.#call.write({ items });
    }
    if (this.#state === 'closing' && this.#outbox.length === 0) {
      this.#state = 'half-closed';
      this.#call.end();
    }
    this.#wake();
  }

  #answer(response: StreamFeedbackResponse__Output): void {
    for (const outcome of response.outcomes) {
      const item = this.#pending.shift();
      try {
        item?.resolve(toFeedbackOutcome(outcome));
      } catch (thrown) {
        // An outcome that lacks a part fails its own item only.
        item?.reject(HoneClientError.from(thrown));
      }
    }
    this.#wake();
  }

  #end(error: HoneClientError | undefined): void {
    // A failed call emits `end` as well.
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const unanswered = this.#pending.splice(0);
    this.#failure = error ?? (unanswered.length > 0 ? cutError(unanswered.length) : undefined);
    for (const { reject } of unanswered) reject(this.#failure ?? closedError());
    this.#outbox = [];
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function closedError(): HoneClientError {
  return new HoneClientError('the feedback stream is closed: open another one', {
    code: 'FAILED_PRECONDITION',
    status: 'FAILED_PRECONDITION',
  });
}

function cutError(count: number): HoneClientError {
  return new HoneClientError(`the server ended the stream with ${count} items unanswered: send them again`, {
    code: 'UNAVAILABLE',
    status: 'UNAVAILABLE',
  });
}
