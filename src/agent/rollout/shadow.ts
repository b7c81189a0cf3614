/**
 * A shadow: the version on trial answers a share of the single requests that the live version has answered, in the
 * background, with the same prompt and settings. Its answers are kept like others, shown to nobody, and never trained
 * from unless somebody scores them. What the machine has no time for is left out, and what gave way is not kept.
 */

import type { CheckedRequest } from '../generation/check-request.js';
import { drawInBackground } from '../generation/draw-in-background.js';
import type { GenerationContext } from '../generation/generation-context.js';

/**
 * Answers a request on a version, keeps the answer where it is still wanted then; never rejects, and ends early when the
 * signal aborts.
 */
export type ShadowAnswer = (
  request: CheckedRequest,
  version: number,
  signal: AbortSignal,
  wanted: () => boolean,
) => Promise<void>;

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
  readonly #running = new Map<Promise<void>, { readonly subject: string; forgotten: boolean }>();
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
    const state = { subject: request.subject, forgotten: false };
    const running = answer(request, this.version, this.#ended.signal, () => !state.forgotten);
    this.#running.set(running, state);
    void running.finally(() => this.#running.delete(running));
  }

  /** Whose data this is shall be gone: nothing that is on its way is kept. To be called before the store erases. */
  forget(subject: string): void {
    for (const state of this.#running.values()) if (state.subject === subject) state.forgotten = true;
  }

  /** Ends what is on its way; resolves when it is recorded. */
  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#running.keys());
  }
}

/** Draws answers that nobody is told of; one that gave way, or that the store has no room for, leaves nothing behind. */
export function answerInBackground(context: GenerationContext, randomSeed: () => number): ShadowAnswer {
  return async (request, version, signal, wanted) => {
    const shadowed = { ...request, seed: randomSeed(), version, origin: 'shadow' } as const;
    await drawInBackground(context, shadowed, signal, wanted).catch(() => undefined);
  };
}
