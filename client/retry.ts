/** When a call is tried again, and how long to wait before: exponential back-off with full jitter, bounded. */

import { setTimeout as delay } from 'node:timers/promises';
import { HoneClientError } from './errors.js';

/** Settings of retries. */
export interface RetryOptions {
  /** Tries in all, the first included; 1 turns retries off. Default 4. */
  readonly maxAttempts?: number;
  /** Upper bound of the first wait, doubled with each further one. Default 100. */
  readonly baseDelayMs?: number;
  /** Upper bound of any wait, and the longest `retryAfterMs` that is waited for. Default 5000. */
  readonly maxDelayMs?: number;
}

/**
 * What may be repeated. `idempotent`: whatever failed in passing. `unstarted`: only what the server refused before it
 * began, because repeating the call otherwise would do its work twice. `never`: nothing.
 */
export type RetryRule = 'idempotent' | 'unstarted' | 'never';

const refusedAtTheDoor = new Set(['QUEUE_FULL', 'DRAINING']);

/** True if this error of a call with this rule is worth another try. */
export function isRetryable(error: HoneClientError, rule: RetryRule): boolean {
  if (rule === 'never') return false;
  if (rule === 'unstarted') return refusedAtTheDoor.has(error.code);
  // STORE_FULL is RESOURCE_EXHAUSTED too, but names no time to wait: it does not pass by itself.
  return error.status === 'UNAVAILABLE' || (error.status === 'RESOURCE_EXHAUSTED' && error.retryAfterMs !== undefined);
}

/** Counts the tries of one call. */
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

  /** The count starts again: something came through. */
  reset(): void {
    this.#attempts = 0;
  }

  /** How long to wait after this failure before the next try; `undefined`: give up. */
  nextDelayMs(error: HoneClientError, rule: RetryRule): number | undefined {
    this.#attempts += 1;
    if (this.#attempts >= this.#maxAttempts || !isRetryable(error, rule)) return undefined;
    const asked = error.retryAfterMs ?? 0;
    if (asked > this.#maxDelayMs) return undefined;
    const bound = Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** (this.#attempts - 1));
    return asked + Math.round(this.#random() * bound);
  }

  /**
   * Waits before the next try.
   * @throws the error itself when there is to be none, or the deadline (milliseconds since 1970) would pass meanwhile
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

/** What a call ends with whose signal was aborted. */
export function cancelled(signal: AbortSignal | undefined): HoneClientError {
  return new HoneClientError('the call was cancelled by its caller', {
    code: 'CANCELLED',
    status: 'CANCELLED',
    cause: signal?.reason,
  });
}
