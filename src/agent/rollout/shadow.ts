/**
 * A shadow: the version on trial answers again, in the background, a share of the single requests that the live version
 * has answered, with the same prompt and settings.
 *
 * No user sees its answers. They are stored like others, and the learner uses one only if it gets a score. A request is
 * left out if the machine has no time for it, and an answer that gave way to a request is not stored.
 */

import type { CheckedRequest } from '../generation/check-request.js';
import { drawInBackground } from '../generation/draw-in-background.js';
import type { GenerationContext } from '../generation/generation-context.js';

/**
 * Answers a request on a version, and stores the answer if `wanted` returns true at its end. Never rejects. Ends early
 * when the signal aborts.
 */
export type ShadowAnswer = (
  request: CheckedRequest,
  version: number,
  signal: AbortSignal,
  wanted: () => boolean,
) => Promise<void>;

export interface ShadowOptions {
  readonly version: number;
  /** Share of the requests that can be shadowed. */
  readonly share: number;
  readonly answer: ShadowAnswer;
  /** From [0, 1). */
  readonly draw: () => number;
}

/** Most answers that may run at once. Further requests are left out. */
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

  /** Number of answers that were begun. */
  get answers(): number {
    return this.#answers;
  }

  /** Answers a request that the live version has answered, or leaves it out. */
  offer(request: CheckedRequest): void {
    const { share, answer, draw } = this.#options;
    if (request.n !== 1 || this.#ended.signal.aborted || this.#running.size >= maxRunning || draw() >= share) return;
    this.#answers += 1;
    const state = { subject: request.subject, forgotten: false };
    const running = answer(request, this.version, this.#ended.signal, () => !state.forgotten);
    this.#running.set(running, state);
    void running.finally(() => this.#running.delete(running));
  }

  /** Forgets a subject: running answers for it are not stored. Call before the store erases. */
  forget(subject: string): void {
    for (const state of this.#running.values()) if (state.subject === subject) state.forgotten = true;
  }

  /** Ends the running answers; resolves when what is stored of them is on disk. */
  async close(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#running.keys());
  }
}

/**
 * Draws answers in the background. An answer that gave way, or that the store has no room for, leaves nothing behind.
 */
export function answerInBackground(context: GenerationContext, randomSeed: () => number): ShadowAnswer {
  return async (request, version, signal, wanted) => {
    const shadowed = { ...request, seed: randomSeed(), version, origin: 'shadow' } as const;
    await drawInBackground(context, shadowed, signal, wanted).catch(() => undefined);
  };
}
