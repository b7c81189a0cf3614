/**
 * Feedback over one long call. Items that are sent in the same turn of the event loop travel in one message, even if
 * `ready()` was awaited between them. Each item is acknowledged when it is on disk. At most `maxUnanswered` items are
 * unacknowledged, because `ready()` waits for room.
 *
 * If the call is lost, another one is opened, and what was not acknowledged is sent again. Every item has a key, so it
 * counts once even if the server had stored it.
 */

import type { ClientDuplexStream } from '@grpc/grpc-js';
import { services } from '../proto/contract.js';
import type { FeedbackItem as FeedbackItemMessage } from '../proto/generated/hone/v1/FeedbackItem.js';
import type { StreamFeedbackRequest } from '../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse__Output } from '../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { toFeedbackOutcome } from './answers.js';
import { type Calls, streamDeadline } from './calls.js';
import { checkFeedbackItem } from './check-arguments.js';
import { HoneClientError } from './errors.js';
import { toFeedbackMessage } from './requests.js';
import type { CallOptions, FeedbackItem, FeedbackOutcome, FeedbackStreamOptions } from './types/index.js';

/** Most items that the server accepts in one message. */
const mostItemsPerMessage = 1000;

interface Pending {
  readonly message: FeedbackItemMessage;
  readonly resolve: (outcome: FeedbackOutcome) => void;
  readonly reject: (error: HoneClientError) => void;
}

type Call = ClientDuplexStream<StreamFeedbackRequest, StreamFeedbackResponse__Output>;

export class FeedbackStream {
  readonly #calls: Calls;
  readonly #options: CallOptions & FeedbackStreamOptions;
  readonly #maxUnanswered: number;
  readonly #maxItemsPerMessage: number;
  readonly #cancellation = new AbortController();
  /** Undefined while there is no connection. */
  #call: Call | undefined;
  /** Items without an outcome, oldest first. Outcomes arrive in this order. */
  readonly #pending: Pending[] = [];
  /** How many of them were written on this call, the oldest ones. */
  #written = 0;
  #answered = 0;
  /** half-closed: everything is written, and the stream waits for the answers. */
  #state: 'open' | 'closing' | 'half-closed' | 'closed' = 'open';
  #blocked = false;
  #flushPlanned = false;
  #failure: HoneClientError | undefined;
  #waiting: (() => void)[] = [];
  readonly #ended: Promise<void>;

  /** Use {@link HoneClient.feedbackStream}. */
  constructor(calls: Calls, options: CallOptions & FeedbackStreamOptions = {}) {
    this.#calls = calls;
    const { signal } = options;
    const own = this.#cancellation.signal;
    this.#options = { ...options, signal: signal === undefined ? own : AbortSignal.any([signal, own]) };
    this.#maxUnanswered = options.maxUnanswered ?? 1000;
    this.#maxItemsPerMessage = Math.min(options.maxItemsPerMessage ?? mostItemsPerMessage, mostItemsPerMessage);
    this.#ended = this.#run();
  }

  /** Number of items that are sent and not acknowledged. */
  get unanswered(): number {
    return this.#pending.length;
  }

  /**
   * Sends an item. The promise resolves when the item is on disk or refused. It rejects if the call fails for good
   * before; then the item may or may not be stored, and it is safe to send it again with the same `idempotencyKey`.
   * @throws HoneClientError `INVALID_REQUEST` if a field of the item is unknown or has the wrong type: nothing was sent
   */
  send(item: FeedbackItem): Promise<FeedbackOutcome> {
    try {
      checkFeedbackItem(item);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    const outcome = new Promise<FeedbackOutcome>((resolve, reject) => {
      if (this.#state !== 'open') {
        reject(this.#failure ?? closedError());
        return;
      }
      this.#pending.push({ message: toFeedbackMessage(item), resolve, reject });
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
    this.#cancellation.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Makes one call after the other, until one ends well or with a failure that is not temporary. */
  async #run(): Promise<void> {
    const deadlineMs = streamDeadline(this.#options);
    const retries = this.#calls.retries(this.#options);
    for (;;) {
      try {
        const { StreamFeedback } = services.feedback;
        const call = await this.#calls.duplexStream(StreamFeedback, this.#options, retries, deadlineMs);
        await this.#use(call, () => retries.reset());
        if (this.#pending.length === 0) return this.#end(undefined);
        throw cutError(this.#pending.length);
      } catch (thrown) {
        this.#call = undefined;
        this.#written = 0;
        this.#blocked = false;
        if (this.#state === 'half-closed') this.#state = 'closing';
        // The last answers had arrived before the call was lost.
        if (this.#state === 'closing' && this.#pending.length === 0) return this.#end(undefined);
        try {
          const { signal } = this.#options;
          await retries.waitOrThrow(HoneClientError.from(thrown), 'idempotent', deadlineMs, signal);
        } catch (failure) {
          return this.#end(HoneClientError.from(failure));
        }
      }
    }
  }

  /** Resolves when the server has ended the call, rejects when it has failed. */
  #use(call: Call, onAnswer: () => void): Promise<void> {
    this.#call = call;
    const answeredBefore = this.#answered;
    call.on('data', (response: StreamFeedbackResponse__Output) => {
      onAnswer();
      this.#answer(response, answeredBefore);
    });
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    const ended = new Promise<void>((resolve, reject) => {
      // A failed call emits `end` as well, after its error.
      call.once('error', reject);
      call.once('end', resolve);
    });
    this.#planFlush();
    return ended;
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
    const call = this.#call;
    if (call === undefined) return;
    while (!this.#blocked && this.#written < this.#pending.length) {
      const items = this.#pending.slice(this.#written, this.#written + this.#maxItemsPerMessage);
      this.#written += items.length;
      this.#blocked = !call.write({ items: items.map(({ message }) => message) });
    }
    if (this.#state === 'closing' && this.#written === this.#pending.length) {
      this.#state = 'half-closed';
      call.end();
    }
    this.#wake();
  }

  #answer(response: StreamFeedbackResponse__Output, answeredBefore: number): void {
    for (const outcome of response.outcomes) {
      const item = this.#pending.shift();
      if (item !== undefined) this.#written -= 1;
      this.#answered += 1;
      try {
        // Each call of the server counts from 0.
        item?.resolve({ ...toFeedbackOutcome(outcome), position: answeredBefore + outcome.position });
      } catch (thrown) {
        // An outcome that lacks a part fails its own item only.
        item?.reject(HoneClientError.from(thrown));
      }
    }
    this.#wake();
  }

  #end(error: HoneClientError | undefined): void {
    this.#state = 'closed';
    this.#call = undefined;
    this.#failure = error;
    for (const { reject } of this.#pending.splice(0)) reject(error ?? closedError());
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
