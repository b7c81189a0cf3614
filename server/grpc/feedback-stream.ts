/**
 * One stream of feedback: it stores items as they arrive and acknowledges each after its commit, in order.
 *
 * Messages wait for their commits at the same time, so that many share one commit. Acknowledgements that are ready in
 * the same turn of the event loop leave in one message. The number of waiting items is bounded: at the bound the server
 * reads no more, and the stream's back-pressure stops the caller. Messages are received as events, because an iterator
 * would destroy the call before its error is sent.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { StreamFeedbackRequest__Output } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { HoneError } from '../../src/errors.js';
import { write } from './calls.js';

/** Items of one stream that may wait for their commit before the server stops reading. */
const maxItemsInFlight = 1024;

/** Approximate number of acknowledgements in one message. A message of the caller is never answered in parts. */
const maxItemsPerAnswer = 1024;

export type FeedbackCall = ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>;

/** Stores the items of one message. `from` is the stream position of the first item. */
type TakeItems = (items: StreamFeedbackRequest__Output['items'], from: number) => Promise<FeedbackOutcome[]>;

interface Message {
  readonly items: StreamFeedbackRequest__Output['items'];
  readonly from: number;
  /** Absent until the commit. */
  result?: { readonly outcomes: readonly FeedbackOutcome[] } | { readonly thrown: unknown };
}

/**
 * Receives items until the caller has ended its side and every item is answered. An error of `take` ends the stream
 * after everything before it is answered.
 * @throws the signal's reason if it aborts, or the error of `take`; if the store's queue is full (`QUEUE_FULL`), it waits
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
  /** Messages that are not answered yet, oldest first. */
  readonly #messages: Message[] = [];
  /**
   * Those of them that must be taken one after another, oldest first. Later messages wait behind them to keep the
   * order.
   */
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

  /** Called when the caller has ended its side. */
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

  /** Holds later messages back: an edit takes time to prepare, and a refused message of a full queue is tried again. */
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
        // If the signal aborts, the stream fails without help from here.
        await delay(error.retryAfterMs ?? 100, undefined, { signal: this.#signal }).catch(() => undefined);
      }
      if (this.#failed) return;
      error = await this.#try(message);
      if (error === undefined) this.#held.shift();
    }
    this.#readOn();
  }

  /**
   * Takes a message and stores its result. Resolves with the error if the queue was full, so that it can be tried
   * again.
   */
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

  /** The next outcomes in order that are ready, enough for one message. */
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
