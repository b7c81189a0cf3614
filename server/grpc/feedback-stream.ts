/**
 * One stream of feedback: items are taken as they come, acknowledged after their commit and in their order.
 *
 * Messages wait for their commits together, so that many share one; acknowledgements that are ready in the same turn of
 * the event loop leave in one message. What waits is bounded in items: beyond it nothing more is read, and the stream's
 * own back-pressure tells the caller. Messages are taken as events: an iterator would destroy the call when its error is
 * sent.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { StreamFeedbackRequest__Output } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { HoneError } from '../../src/errors.js';
import { write } from './calls.js';

/** Items of one stream that may wait for their commit: once there are so many, nothing more is read. */
const maxItemsInFlight = 1024;

/** Acknowledgements that one message holds, about: a message of the caller is never answered in parts. */
const maxItemsPerAnswer = 1024;

export type FeedbackCall = ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>;

/** Writes the items of one message; `from` is the position of the first in the stream. */
export type TakeItems = (items: StreamFeedbackRequest__Output['items'], from: number) => Promise<FeedbackOutcome[]>;

interface Message {
  readonly items: StreamFeedbackRequest__Output['items'];
  readonly from: number;
  /** Absent while the commit is awaited. */
  result?: { readonly outcomes: readonly FeedbackOutcome[] } | { readonly thrown: unknown };
}

/**
 * Takes what arrives until the caller has said all and everything is answered. What fails ends it once everything before
 * is answered, though the caller may have nothing more to say.
 * @throws the signal's reason when it aborts, else what `take` threw; a full store (`QUEUE_FULL`) is waited for
 */
export function acknowledge(call: FeedbackCall, take: TakeItems, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = new AcknowledgedStream(call, take, signal, resolve, reject);
    call.on('data', ({ items }: StreamFeedbackRequest__Output) => stream.receive(items));
    call.on('end', () => stream.end());
    const abort = (): void => stream.fail(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
  });
}

class AcknowledgedStream {
  readonly #call: FeedbackCall;
  readonly #take: TakeItems;
  readonly #signal: AbortSignal;
  readonly #resolve: () => void;
  readonly #reject: (thrown: unknown) => void;
  /** Not answered yet, oldest first. */
  readonly #messages: Message[] = [];
  /** Those of them that are taken one after another, oldest first; what comes later waits behind, to keep its order. */
  readonly #held: Message[] = [];
  #position = 0;
  #itemsInFlight = 0;
  #answering = false;
  #ended = false;
  #failed = false;

  constructor(
    call: FeedbackCall,
    take: TakeItems,
    signal: AbortSignal,
    resolve: () => void,
    reject: (thrown: unknown) => void,
  ) {
    this.#call = call;
    this.#take = take;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  receive(items: Message['items']): void {
    const message: Message = { items, from: this.#position };
    this.#position += items.length;
    this.#itemsInFlight += items.length;
    this.#messages.push(message);
    if (this.#held.length > 0) this.#held.push(message);
    else if (items.some(({ change }) => change === 'edit')) this.#hold(message);
    else void this.#start(message);
    if (this.#itemsInFlight >= maxItemsInFlight) this.#call.pause();
  }

  /** The caller has said all. */
  end(): void {
    this.#ended = true;
    this.#planAnswer();
  }

  fail(thrown: unknown): void {
    this.#failed = true;
    this.#call.pause();
    this.#reject(thrown);
  }

  async #start(message: Message): Promise<void> {
    const full = await this.#try(message);
    if (full !== undefined) this.#hold(message, full);
  }

  /** An edit is prepared before it is written, and what a full store refused is tried again: neither may be overtaken. */
  #hold(message: Message, full?: HoneError): void {
    this.#held.push(message);
    if (this.#held.length > 1) return;
    this.#call.pause();
    void this.#takeHeld(full);
  }

  async #takeHeld(full: HoneError | undefined): Promise<void> {
    let error = full;
    for (let [message] = this.#held; message !== undefined && !this.#failed; [message] = this.#held) {
      if (error !== undefined) {
        // The signal fails the stream by itself.
        await delay(error.retryAfterMs ?? 100, undefined, { signal: this.#signal }).catch(() => undefined);
      }
      if (this.#failed) return;
      error = await this.#try(message);
      if (error === undefined) this.#held.shift();
    }
    this.#readOn();
  }

  /** Takes a message and keeps what became of it. Resolves with the error of a full store, which decides nothing. */
  async #try(message: Message): Promise<HoneError | undefined> {
    try {
      message.result = { outcomes: await this.#take(message.items, message.from) };
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.code === 'QUEUE_FULL') return error;
      message.result = { thrown };
    }
    this.#planAnswer();
    return undefined;
  }

  #planAnswer(): void {
    if (this.#answering || this.#failed) return;
    this.#answering = true;
    setImmediate(() => this.#answer().catch((thrown: unknown) => this.fail(thrown)));
  }

  async #answer(): Promise<void> {
    for (let outcomes = this.#nextOutcomes(); outcomes.length > 0 && !this.#failed; outcomes = this.#nextOutcomes()) {
      await write(this.#call, { outcomes }, this.#signal);
      this.#itemsInFlight -= outcomes.length;
      this.#readOn();
    }
    this.#answering = false;
    const result = this.#messages[0]?.result;
    if (result !== undefined && 'thrown' in result) throw result.thrown;
    if (this.#ended && this.#messages.length === 0) this.#resolve();
  }

  /** The outcomes that are next in order and there, about as many as make one message. */
  #nextOutcomes(): FeedbackOutcome[] {
    const outcomes: FeedbackOutcome[] = [];
    while (outcomes.length < maxItemsPerAnswer) {
      const result = this.#messages[0]?.result;
      if (result === undefined || 'thrown' in result) break;
      outcomes.push(...result.outcomes);
      this.#messages.shift();
    }
    return outcomes;
  }

  #readOn(): void {
    if (!this.#failed && this.#held.length === 0 && this.#itemsInFlight < maxItemsInFlight) this.#call.resume();
  }
}
