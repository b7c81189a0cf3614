/** Decides whether a call is retried and after which wait: bounded exponential back-off with full jitter. */

import { setTimeout as delay } from 'node:timers/promises';
import { HoneClientError } from './errors.js';

/** Settings of retries. */
export interface RetryOptions {
  /** Number of attempts, including the first; 1 turns retries off. Default 4. */
  readonly maxAttempts?: number;
  /** Upper bound of the first wait; it doubles with each further wait. Default 100. */
  readonly baseDelayMs?: number;
  /** Upper bound of every wait. If the server's `retryAfterMs` is longer, the call is not retried. Default 5000. */
  readonly maxDelayMs?: number;
}

/**
 * Which failures of a call are retried. `idempotent`: every temporary failure. `unstarted`: only if the server refused
 * the call before it began, because a retry could do the work twice otherwise. `never`: none.
 */
export type RetryRule = 'idempotent' | 'unstarted' | 'never';

const refusedAtTheDoor = new Set(['QUEUE_FULL', 'DRAINING']);

/** Whether to retry a call with this rule after this error. */
function isRetryable(error: HoneClientError, rule: RetryRule): boolean {
  if (rule === 'never') return false;
  if (rule === 'unstarted') return refusedAtTheDoor.has(error.code);
  // STORE_FULL is RESOURCE_EXHAUSTED too. It has no time to wait, because it does not end by itself.
  return error.status === 'UNAVAILABLE' || (error.status === 'RESOURCE_EXHAUSTED' && error.retryAfterMs !== undefined);
}

/** Counts the attempts of one call. */
export class Retries {
  readonly #maxAttempts: number;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(options: RetryOptions = {}, random: () => number = Math.random) {
    this.#maxAttempts = options.maxAttempts ?? 4;
    this.#baseDelayMs = options.baseDelayMs ?? 100;
    this.#maxDelayMs = options.maxDelayMs ?? 5000;
    this.#random = random;
  }

  /** Starts the count again, because an answer arrived. */
  reset(): void {
    this.#attempts = 0;
  }

  /** Milliseconds to wait before the next attempt; `undefined`: no further attempt. */
  nextDelayMs(error: HoneClientError, rule: RetryRule): number | undefined {
    this.#attempts += 1;
    if (this.#attempts >= this.#maxAttempts || !isRetryable(error, rule)) return undefined;
    const asked = error.retryAfterMs ?? 0;
    if (asked > this.#maxDelayMs) return undefined;
    const bound = Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** (this.#attempts - 1));
    return asked + Math.round(this.#random() * bound);
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
    if (wait === undefined || (deadlineMs !== undefined && Date.now() + wait >= deadlineMs)) throw error;
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
