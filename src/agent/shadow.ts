/**
 * A shadow: the version on trial answers a share of the single requests that the live version has answered, in the
 * background, with the same prompt and settings. Its answers are kept like others, shown to nobody, and never trained
 * from unless somebody scores them. What the machine has no time for is left out.
 */

import { type GenerationContext, runGeneration } from './generation.js';
import { RequestMeter } from './meter.js';
import type { CheckedRequest } from './requests.js';

/** Answers a request on a version, keeps the answer; never rejects, and ends early when the signal aborts. */
export type ShadowAnswer = (request: CheckedRequest, version: number, signal: AbortSignal) => Promise<void>;

export interface ShadowOptions {
  readonly version: number;
  /** Of the requests that can be shadowed. */
  readonly share: number;
  readonly answer: ShadowAnswer;
  /** From [0, 1). */
  readonly draw: () => number;
}

/** Answers that may be on their way at once: what comes beyond them is left out. */
const maxRunning = 4;

export class Shadow {
  readonly version: number;
  readonly #options: ShadowOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #ended = new AbortController();
  #answers = 0;

  constructor(options: ShadowOptions) {
    this.#options = options;
    this.version = options.version;
  }

  /** Answers that were begun. */
  get answers(): number {
    return this.#answers;
  }

  /** Takes a request that the live version has answered, or leaves it. */
  offer(request: CheckedRequest): void {
    const { share, answer, draw } = this.#options;
    if (request.n !== 1 || this.#ended.signal.aborted || this.#running.size >= maxRunning || draw() >= share) return;
    this.#answers += 1;
    const running = answer(request, this.version, this.#ended.signal);
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Ends what is on its way; resolves when it is recorded. */
  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#running);
  }
}

/** Answers by the way that every request goes; nobody is told of what goes wrong, for nobody waits. */
export function answerInBackground(context: GenerationContext, randomSeed: () => number): ShadowAnswer {
  return async (request, version, signal) => {
    const abort = new AbortController();
    const onAbort = () => abort.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const shadowed = { ...request, seed: randomSeed(), version, origin: 'shadow', background: true } as const;
    try {
      for await (const _ of runGeneration(context, shadowed, abort, new RequestMeter({})));
    } catch {
      // It gave way to requests that somebody waits for, or the store is full: there is no whole answer then.
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };
}
