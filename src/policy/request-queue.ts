/** The requests that have not been started: bounded in number and in prompt tokens, with advice when to come back. */

import { HoneError } from '../errors.js';

export interface QueueLimits {
  /** Requests that may wait. */
  readonly maxQueue: number;
  /** Their prompt tokens; one request alone is always taken. */
  readonly maxQueueTokens: number;
}

export class RequestQueue {
  readonly #limits: QueueLimits;
  readonly #now: () => number;
  /** Prompt tokens by request. */
  readonly #waiting = new Map<number, number>();
  #tokens = 0;
  /** Between two starts of late. */
  #startIntervalMs = 100;
  #lastStartAt: number | null = null;

  /** @param now milliseconds of any clock that only goes forward */
  constructor(limits: QueueLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get requests(): number {
    return this.#waiting.size;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** @throws HoneError `QUEUE_FULL` */
  add(request: number, promptTokens: number): void {
    const { maxQueue, maxQueueTokens } = this.#limits;
    if (this.requests >= maxQueue) throw this.#full(`${maxQueue} requests are waiting already`);
    if (this.requests > 0 && this.#tokens + promptTokens > maxQueueTokens) {
      throw this.#full(`requests with ${this.#tokens} prompt tokens are waiting already (at most ${maxQueueTokens})`);
    }
    this.#waiting.set(request, promptTokens);
    this.#tokens += promptTokens;
  }

  /** A request was started. @returns its prompt tokens; 0 where it did not wait */
  start(request: number): number {
    const tokens = this.remove(request);
    const now = this.#now();
    if (this.#lastStartAt !== null) {
      const intervalMs = Math.min(now - this.#lastStartAt, 10_000);
      this.#startIntervalMs += 0.1 * (intervalMs - this.#startIntervalMs);
    }
    this.#lastStartAt = now;
    return tokens;
  }

  /** A request ended, or never came to wait. @returns its prompt tokens; 0 where it did not wait */
  remove(request: number): number {
    const tokens = this.#waiting.get(request) ?? 0;
    this.#waiting.delete(request);
    this.#tokens -= tokens;
    return tokens;
  }

  #full(what: string): HoneError {
    // By then half of those that wait have been started.
    const ms = Math.min(Math.max(this.#startIntervalMs * this.requests * 0.5, 100), 30_000);
    return new HoneError('QUEUE_FULL', `${what}; try again later`, { retryAfterMs: Math.round(ms) });
  }
}
