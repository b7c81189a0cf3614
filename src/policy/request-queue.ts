/**
 * Counts the requests that have not started and refuses further ones beyond a number or a total of prompt tokens. A
 * refused caller is told when to try again.
 */

import { HoneError } from '../errors.js';

interface QueueLimits {
  /** Most requests that may wait. */
  readonly maxQueue: number;
  /** Most prompt tokens of waiting requests. An empty queue accepts a request of any length. */
  readonly maxQueueTokens: number;
}

export class RequestQueue {
  readonly #limits: QueueLimits;
  readonly #now: () => number;
  /** Prompt tokens by request. */
  readonly #waiting = new Map<number, number>();
  #tokens = 0;
  /** Moving average of the time between starts. */
  #startIntervalMs = 100;
  #lastStartAtMs: number | null = null;

  /** @param now milliseconds of a monotonic clock */
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
    if (this.requests >= maxQueue) throw this.#full(`${maxQueue} requests are already waiting`);
    if (this.requests > 0 && this.#tokens + promptTokens > maxQueueTokens) {
      throw this.#full(`requests with ${this.#tokens} prompt tokens are already waiting (at most ${maxQueueTokens})`);
    }
    this.#waiting.set(request, promptTokens);
    this.#tokens += promptTokens;
  }

  /** Records that a request has started. @returns its prompt tokens; 0 if it was not waiting */
  start(request: number): number {
    const tokens = this.remove(request);
    const now = this.#now();
    if (this.#lastStartAtMs !== null) {
      const intervalMs = Math.min(now - this.#lastStartAtMs, 10_000);
      this.#startIntervalMs += 0.1 * (intervalMs - this.#startIntervalMs);
    }
    this.#lastStartAtMs = now;
    return tokens;
  }

  /** Removes a request that has ended. @returns its prompt tokens; 0 if it was not waiting */
  remove(request: number): number {
    const tokens = this.#waiting.get(request) ?? 0;
    this.#waiting.delete(request);
    this.#tokens -= tokens;
    return tokens;
  }

  #full(what: string): HoneError {
    // After this time about half of the waiting requests have started.
    const ms = Math.min(Math.max(this.#startIntervalMs * this.requests * 0.5, 100), 30_000);
    return new HoneError('QUEUE_FULL', `${what}; try again later`, { retryAfterMs: Math.round(ms) });
  }
}
