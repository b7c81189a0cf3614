/** Keeps track of the requests that run or wait: limits their number, and ends those of a subject, or all. */

import { HoneError } from '../../errors.js';

/** Most bytes of the answers that are collected at the same time, because they leave in one message each. */
export const maxCollectedBytes = 8 * 1024 * 1024;

/** A request that runs or waits. Leaving the block of its `using` closes it. */
export interface OpenRequest {
  /** Ends the request when it is fired. */
  readonly abort: AbortController;
  /**
   * Keeps room for an answer that is collected as a whole. A single one always gets it.
   * @param bytes the size that the answer is expected to have
   * @throws HoneError `QUEUE_FULL` while too many others are collected
   */
  collect(bytes: number): void;
  [Symbol.dispose](): void;
}

export class OpenRequests {
  readonly #limit: number;
  /** The subject of each open request. */
  readonly #open = new Map<AbortController, string>();
  #collectedBytes = 0;
  #idle: (() => void) | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws HoneError `QUEUE_FULL` */
  refuseWhenFull(): void {
    if (this.#open.size < this.#limit) return;
    const message = `${this.#limit} requests run or wait already; try again later`;
    throw new HoneError('QUEUE_FULL', message, { retryAfterMs: 1000 });
  }

  /** @param signal ends the request as well */
  open(subject: string, signal?: AbortSignal): OpenRequest {
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#open.set(abort, subject);
    let collected = 0;
    return {
      abort,
      collect: (bytes) => {
        if (this.#collectedBytes > 0 && this.#collectedBytes + bytes > maxCollectedBytes) {
          const message = 'too many large answers are collected already; try again later, or use StreamGenerate';
          throw new HoneError('QUEUE_FULL', message, { retryAfterMs: 1000 });
        }
        collected += bytes;
        this.#collectedBytes += bytes;
      },
      [Symbol.dispose]: () => {
        signal?.removeEventListener('abort', onAbort);
        this.#open.delete(abort);
        this.#collectedBytes -= collected;
        if (this.#open.size === 0) this.#idle?.();
      },
    };
  }

  /** Ends the requests of a subject, or all. */
  end(reason: HoneError, subject?: string): void {
    for (const [abort, owner] of this.#open) if (subject === undefined || owner === subject) abort.abort(reason);
  }

  /** Waits until no request is open. After the grace it ends those that still are. */
  async drain(graceMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    const grace = setTimeout(
      () => this.end(new HoneError('DRAINING', 'the server stopped before the request was done; send it again')),
      graceMs,
    );
    await idle;
    clearTimeout(grace);
  }
}
