/**
 * The events of one request between the worker and a reader, who may be slow.
 *
 * Tokens that a reader has not fetched yet are added to the chunk that waits for it, so that at most one chunk and one
 * end per completion are kept. When many tokens wait, the stream says so, and again when the reader has caught up:
 * whoever feeds it stops in between, so that a reader who does not read costs neither memory nor time.
 */

import { HoneError } from '../errors.js';
import type { CompletionEvent, CompletionFinished, TokenChunk, TopLogprob } from './completion-events.js';

/** Unread tokens per completion beyond which the feeding should stop; it goes on at half of them. */
export const maxUnreadTokens = 256;

interface WaitingChunk extends TokenChunk {
  readonly tokens: number[];
  text: string;
  readonly logprobs: number[];
  readonly sampledLogprobs: number[];
  readonly topLogprobs?: (readonly TopLogprob[])[];
}

/** One token of a completion. */
export interface StreamedToken {
  readonly completion: number;
  readonly token: number;
  readonly text: string;
  readonly logprob: number;
  readonly sampledLogprob: number;
  readonly top: readonly TopLogprob[] | undefined;
}

export interface StreamOptions {
  readonly completions: number;
  /** Whether alternatives come with the tokens. */
  readonly withTop: boolean;
  /** Too much is unread. */
  readonly onFull: () => void;
  /** The reader has caught up, after `onFull`. */
  readonly onDrained: () => void;
}

export class CompletionStream {
  readonly #options: StreamOptions;
  readonly #events: CompletionEvent[] = [];
  /** Chunks in `#events` that nobody has fetched, by completion. */
  readonly #waiting = new Map<number, WaitingChunk>();
  readonly #maxUnread: number;
  #unread = 0;
  #full = false;
  #unfinished: number;
  #error: HoneError | null = null;
  #wake: (() => void) | null = null;

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

  /** @param text what was held back */
  finish(event: Omit<CompletionFinished, 'type'>, text: string): void {
    if (text !== '') this.#chunkFor(event.completion).text += text;
    this.#unfinished -= 1;
    this.#push({ type: 'finished', ...event });
  }

  /** The reader gets what there is, then the error. */
  fail(error: HoneError): void {
    if (this.ended) return;
    this.#error = error;
    this.#wake?.();
  }

  /** Events until the last completion's end. @throws the error that the stream failed with */
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
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
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
    this.#wake?.();
  }
}

/** What a stream ends with that nobody read for too long. */
export function readerStalled(maxStalledMs: number): HoneError {
  const seconds = maxStalledMs / 1000;
  return new HoneError('READER_STALLED', `the stream was not read for ${seconds} s; read it as it comes, or cancel it`);
}
