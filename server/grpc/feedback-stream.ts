/**
 * One stream of feedback: it stores items as they arrive and acknowledges each after its commit, in order.
 *
 * Messages wait for their commits at the same time, so that many share one commit. Acknowledgements that are ready in
 * the same turn of the event loop leave in one message. A message with many items is taken in pieces, each in a turn of
 * its own, because a thousand items take long to refuse. The number of waiting items is bounded: at the bound the server
 * reads no more, and the stream's back-pressure stops the caller. Messages are received as events, because an iterator
 * would destroy the call before its error is sent.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { FeedbackOutcome } from '../../proto/generated/hone/v1/FeedbackOutcome.js';
import type { StreamFeedbackRequest__Output } from '../../proto/generated/hone/v1/StreamFeedbackRequest.js';
import type { StreamFeedbackResponse } from '../../proto/generated/hone/v1/StreamFeedbackResponse.js';
import { maxItemsPerBatch } from '../../src/agent/index.js';
import { HoneError } from '../../src/errors.js';
import type { OwnTurns } from '../../src/process/own-turns.js';
import { write } from './calls.js';

/** Items of one stream that may wait for their commit before the server stops reading. */
const maxItemsInFlight = 1024;

/** Items of one message that are taken, or refused, in one turn of the event loop. */
const itemsPerTurn = 125;

/** Approximate number of acknowledgements in one message, and in one turn. Refusals carry much more than the others. */
const maxItemsPerAnswer = 1024;
const maxRefusalsPerAnswer = 125;

export type FeedbackCall = ServerDuplexStream<StreamFeedbackRequest__Output, StreamFeedbackResponse>;

type Items = StreamFeedbackRequest__Output['items'];

/** Where a piece of a message begins. */
export interface PieceStart {
  /** Position of its first item in the stream. */
  readonly inStream: number;
  /** Index of its first item in the message. */
  readonly inMessage: number;
}

/** Stores the items of one piece of a message. */
type TakeItems = (items: Items, start: PieceStart) => Promise<FeedbackOutcome[]>;

/** A whole message, or a piece of one with many items. */
interface Piece {
  readonly items: Items;
  readonly start: PieceStart;
  /** Absent until the commit. */
  result?: { readonly outcomes: readonly FeedbackOutcome[] } | { readonly thrown: unknown };
}

/**
 * Receives items until the caller has ended its side and every item is answered. An error of `take` ends the stream
 * after everything before it is answered.
 * @param turns of all streams together
 * @throws the signal's reason if it aborts, or the error of `take`; if the store's queue is full (`QUEUE_FULL`), it waits
 */
export function acknowledge(call: FeedbackCall, take: TakeItems, turns: OwnTurns, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = new AcknowledgedStream(call, take, turns, signal, resolve, reject);
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
  readonly #turns: OwnTurns;
  readonly #signal: AbortSignal;
  readonly #resolve: () => void;
  readonly #reject: (thrown: unknown) => void;
  /** Pieces that are not answered yet, oldest first. */
  readonly #pieces: Piece[] = [];
  /** Those of them whose turn has not come yet, oldest first. */
  readonly #arrived: Piece[] = [];
  #isStarting = false;
  /**
   * Those of them that must be taken one after another, oldest first. Later ones wait behind them to keep the order.
   */
  readonly #held: Piece[] = [];
  #position = 0;
  #itemsInFlight = 0;
  #answering = false;
  #ended = false;
  #failed = false;

  constructor(
    call: FeedbackCall,
    take: TakeItems,
    turns: OwnTurns,
    signal: AbortSignal,
    resolve: () => void,
    reject: (thrown: unknown) => void,
  ) {
    this.#call = call;
    this.#take = take;
    this.#turns = turns;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  receive(items: Items): void {
    for (const piece of piecesOf(items, this.#position)) {
      this.#pieces.push(piece);
      this.#arrived.push(piece);
    }
    this.#position += items.length;
    this.#itemsInFlight += items.length;
    if (this.#itemsInFlight >= maxItemsInFlight) this.#call.pause();
    void this.#startArrived();
  }

  /** Starts pieces in order; those after the first one of a message wait for a turn of their own. */
  async #startArrived(): Promise<void> {
    if (this.#isStarting) return;
    this.#isStarting = true;
    for (let piece = this.#arrived.shift(); piece !== undefined; piece = this.#arrived.shift()) {
      if (piece.start.inMessage > 0) await this.#turns.next();
      if (this.#failed) return;
      if (this.#held.length > 0) this.#held.push(piece);
      else if (piece.items.some(({ change }) => change === 'edit')) this.#hold(piece);
      else void this.#start(piece);
    }
    this.#isStarting = false;
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

  async #start(piece: Piece): Promise<void> {
    const full = await this.#try(piece);
    if (full !== undefined) this.#hold(piece, full);
  }

  /** Holds later pieces back: an edit takes time to prepare, and a refused piece of a full queue is tried again. */
  #hold(piece: Piece, full?: HoneError): void {
    this.#held.push(piece);
    if (this.#held.length > 1) return;
    this.#call.pause();
    void this.#takeHeld(full);
  }

  async #takeHeld(full: HoneError | undefined): Promise<void> {
    let error = full;
    for (let [piece] = this.#held; piece !== undefined && !this.#failed; [piece] = this.#held) {
      if (error !== undefined) {
        // If the signal aborts, the stream fails without help from here.
        await delay(error.retryAfterMs ?? 100, undefined, { signal: this.#signal }).catch(() => undefined);
      }
      if (this.#failed) return;
      error = await this.#try(piece);
      if (error === undefined) this.#held.shift();
    }
    this.#readOn();
  }

  /**
   * Takes a piece and stores its result. Resolves with the error if the queue was full, so that it can be tried
   * again.
   */
  async #try(piece: Piece): Promise<HoneError | undefined> {
    try {
      piece.result = { outcomes: await this.#take(piece.items, piece.start) };
    } catch (thrown) {
      const error = HoneError.from(thrown);
      if (error.code === 'QUEUE_FULL') return error;
      piece.result = { thrown };
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
    const result = this.#pieces[0]?.result;
    if (result !== undefined && 'thrown' in result) throw result.thrown;
    if (this.#ended && this.#pieces.length === 0) this.#resolve();
  }

  /** The next outcomes in order that are ready, enough for one message. */
  #nextOutcomes(): FeedbackOutcome[] {
    const outcomes: FeedbackOutcome[] = [];
    let refusals = 0;
    while (outcomes.length < maxItemsPerAnswer && refusals < maxRefusalsPerAnswer) {
      const result = this.#pieces[0]?.result;
      if (result === undefined || 'thrown' in result) break;
      outcomes.push(...result.outcomes);
      refusals += result.outcomes.filter(({ error }) => error !== undefined).length;
      this.#pieces.shift();
    }
    return outcomes;
  }

  #readOn(): void {
    if (!this.#failed && this.#held.length === 0 && this.#itemsInFlight < maxItemsInFlight) this.#call.resume();
  }
}

/** A message with too many items stays whole, to be refused. */
function piecesOf(items: Items, position: number): Piece[] {
  if (items.length <= itemsPerTurn || items.length > maxItemsPerBatch) {
    return [{ items, start: { inStream: position, inMessage: 0 } }];
  }
  const pieces: Piece[] = [];
  for (let inMessage = 0; inMessage < items.length; inMessage += itemsPerTurn) {
    const start = { inStream: position + inMessage, inMessage };
    pieces.push({ items: items.slice(inMessage, inMessage + itemsPerTurn), start });
  }
  return pieces;
}
