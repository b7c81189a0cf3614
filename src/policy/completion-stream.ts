/**
 * Buffers the events of one request between the worker and a reader, which may be slow.
 *
 * New tokens are added to the chunk that waits to be read, so that the buffer holds at most one chunk and one end per
 * completion. The stream reports when too many tokens are unread, and when the reader has caught up. The worker stops
 * in between, so that a reader that does not read costs neither memory nor computing time.
 */

import { HoneError } from '../errors.js';
import { WakeUp } from '../process/wake-up.js';
import type { CompletionEvent, CompletionFinished, TokenChunk, TopLogprob } from './completion-events.js';

/** Unread tokens per completion at which the stream is full. It has drained when half of them are left. */
export const maxUnreadTokens = 256;

interface WaitingChunk extends TokenChunk {
  readonly tokens: number[];
  text: string;
  readonly logprobs: number[];
  readonly sampledLogprobs: number[];
  readonly topLogprobs?: (readonly TopLogprob[])[];
}

interface StreamedToken {
  readonly completion: number;
  readonly token: number;
  readonly text: string;
  readonly logprob: number;
  readonly sampledLogprob: number;
  readonly top: readonly TopLogprob[] | undefined;
}

interface StreamOptions {
  readonly completions: number;
  /** Whether alternatives come with the tokens. */
  readonly withTop: boolean;
  /** Called when too many tokens are unread. */
  readonly onFull: () => void;
  /** Called after `onFull`, when the reader has caught up. */
  readonly onDrained: () => void;
}

export class CompletionStream {
  readonly #options: StreamOptions;
  readonly #events: CompletionEvent[] = [];
  /** Unread chunks of `#events`, by completion. */
  readonly #waiting = new Map<number, WaitingChunk>();
  readonly #maxUnread: number;
  #unread = 0;
  #full = false;
  #unfinished: number;
  #error: HoneError | null = null;
  readonly #wakeUp = new WakeUp();

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#unfinished = options.completions;
    this.#maxUnread = maxUnreadTokens * options.completions;
  }

  /** Whether every completion has ended or the stream has failed. */
  get ended(): boolean {
    return this.#unfinished === 0 || this.#error !== null;
  }

  start(version: number, adapterDigest: string, cachedPromptTokens: number): void {
    this.#push({ type: 'started', version, adapterDigest, cachedPromptTokens });
  }

  add({ completion, token, text, logprob, sampledLogprob, top }: StreamedToken): void {
    const chunk = this.#chunkFor(completion);
    chunk.tokens.push(token);
    chunk.text += text;
    chunk.logprobs.push(logprob);
    chunk.sampledLogprobs.push(sampledLogprob);
    chunk.topLogprobs?.push(top ?? []);
    this.#unread += 1;
    if (this.#unread <= this.#maxUnread || this.#full) return;
    this.#full = true;
    this.#options.onFull();
  }

  /** @param text text that was held back */
  finish(event: Omit<CompletionFinished, 'type'>, text: string): void {
    if (text !== '') this.#chunkFor(event.completion).text += text;
    this.#unfinished -= 1;
    this.#push({ type: 'finished', ...event });
  }

  /** Fails the stream. The reader still gets the events that are there, then the error. */
  fail(error: HoneError): void {
    if (this.ended) return;
    this.#error = error;
    this.#wakeUp.call();
  }

  /** Yields the events up to the end of the last completion. @throws the error with which the stream failed */
  async *read(): AsyncGenerator<CompletionEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        if (event.type === 'tokens') this.#fetched(event);
        yield event;
      } else if (this.#error !== null) {
        throw this.#error;
      } else if (this.#unfinished === 0) {
        return;
      } else {
        await this.#wakeUp.wait(null);
      }
    }
  }

  #fetched({ completion, tokens }: TokenChunk): void {
    this.#waiting.delete(completion);
    this.#unread -= tokens.length;
    if (!this.#full || this.#unread > this.#maxUnread / 2) return;
    this.#full = false;
    this.#options.onDrained();
  }

  #chunkFor(completion: number): WaitingChunk {
    const waiting = this.#waiting.get(completion);
    if (waiting !== undefined) return waiting;
    const chunk: WaitingChunk = {
      type: 'tokens',
      completion,
      tokens: [],
      text: '',
      logprobs: [],
      sampledLogprobs: [],
      ...(this.#options.withTop ? { topLogprobs: [] } : {}),
    };
    this.#waiting.set(completion, chunk);
    this.#push(chunk);
    return chunk;
  }

  #push(event: CompletionEvent): void {
    this.#events.push(event);
    this.#wakeUp.call();
  }
}

/** Returns the error of a stream that was not read for too long. */
export function readerStalled(maxStalledMs: number): HoneError {
  const seconds = maxStalledMs / 1000;
  return new HoneError('READER_STALLED', `the stream was not read for ${seconds} s; read it as it comes, or cancel it`);
}
