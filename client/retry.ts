/** Decides whether a call is retried and after which wait: bounded exponential back-off with full jitter. */

import { setTimeout as delay } from 'node:timers/promises';
import { HoneClientError } from './errors.js';
import type { RetryOptions } from './types/index.js';

/**
 * Which failures of a call are retried. `idempotent`: every temporary failure. `unstarted`: only if the server refused
 * the call before it began, because a retry could do the work twice otherwise. `never`: none.
 */
export type RetryRule = 'idempotent' | 'unstarted' | 'never';

const refusedAtTheDoor = new Set(['QUEUE_FULL', 'STORE_BUSY', 'DRAINING']);

/** Attempts at a server that is full. More of them would only add to its load. */
const attemptsAtAFullServer = 4;

/** Whether to retry a call with this rule after this error. */
function isRetryable(error: HoneClientError, rule: RetryRule): boolean {
  if (rule === 'never') return false;
  if (rule === 'unstarted') return refusedAtTheDoor.has(error.code);
  // STORE_FULL is RESOURCE_EXHAUSTED too. It has no time to wait, because it does not end by itself.
  return error.status === 'UNAVAILABLE' || (error.status === 'RESOURCE_EXHAUSTED' && error.retryAfterMs !== undefined);
}

/** Counts the attempts of one call, and the time since the first that failed. */
export class Retries {
  readonly #maxAttempts: number | undefined;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #maxElapsedMs: number;
  readonly #random: () => number;
  readonly #now: () => number;
  #attempts = 0;
  #failedSinceMs: number | undefined;

  constructor(options: RetryOptions = {}, random: () => number = Math.random, now: () => number = Date.now) {
    this.#maxAttempts = options.maxAttempts;
    this.#baseDelayMs = options.baseDelayMs ?? 100;
    this.#maxDelayMs = options.maxDelayMs ?? 5000;
    this.#maxElapsedMs = options.maxElapsedMs ?? 60_000;
    this.#random = random;
    this.#now = now;
  }

  /** Whether retries are on. */
  get areOn(): boolean {
    return this.#maxAttempts !== 1;
  }

  /** When to give up, milliseconds since 1970. */
  get giveUpAtMs(): number {
    return (this.#failedSinceMs ?? this.#now()) + this.#maxElapsedMs;
  }

  /** Notes since when there is no server, if that was not known. */
  noteFailure(sinceMs: number): void {
    this.#failedSinceMs ??= sinceMs;
  }

  /** Starts the count again, because an answer arrived. */
  reset(): void {
    this.#attempts = 0;
    this.#failedSinceMs = undefined;
  }

  /** Milliseconds to wait before the next attempt; `undefined`: no further attempt. */
  nextDelayMs(error: HoneClientError, rule: RetryRule): number | undefined {
    this.#attempts += 1;
    this.#failedSinceMs ??= this.#now();
    if (!isRetryable(error, rule)) return undefined;
    const full = error.status === 'RESOURCE_EXHAUSTED';
    const maxAttempts = this.#maxAttempts ?? (full ? attemptsAtAFullServer : Number.POSITIVE_INFINITY);
    const asked = error.retryAfterMs ?? 0;
    if (this.#attempts >= maxAttempts || asked > this.#maxDelayMs) return undefined;
    const bound = Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** (this.#attempts - 1));
    const wait = asked + Math.round(this.#random() * bound);
    return this.#now() + wait > this.giveUpAtMs ? undefined : wait;
  }

  /**
   * Waits before the next attempt.
   * @throws the error itself if there is no further attempt, or if the deadline (milliseconds since 1970) would pass before
   */
  async waitOrThrow(
    error: HoneClientError,
    rule: RetryRule,
    deadlineMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const wait = this.nextDelayMs(error, rule);
    if (wait === undefined || (deadlineMs !== undefined && this.#now() + wait >= deadlineMs)) throw error;
    await delay(wait, undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw cancelled(signal);
    });
  }
}

/** The error of a call whose signal was aborted. */
export function cancelled(signal: AbortSignal | undefined): HoneClientError {
  return new HoneClientError('the call was cancelled by its caller', {
    code: 'CANCELLED',
    status: 'CANCELLED',
    cause: signal?.reason,
  });
}
