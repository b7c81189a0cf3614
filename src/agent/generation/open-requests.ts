/** Keeps track of the requests that run or wait: limits their number, and ends those of a subject, or all. */

import { HoneError } from '../../errors.js';

/** A request that runs or waits. Leaving the block of its `using` closes it. */
export interface OpenRequest {
  /** Ends the request when it is fired. */
  readonly abort: AbortController;
  [Symbol.dispose](): void;
}

export class OpenRequests {
  readonly #limit: number;
  /** The subject of each open request. */
  readonly #open = new Map<AbortController, string>();
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
    return {
      abort,
      [Symbol.dispose]: () => {
        signal?.removeEventListener('abort', onAbort);
        this.#open.delete(abort);
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
