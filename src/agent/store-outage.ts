/**
 * What becomes of the loop while the store refuses writes: one event when that begins, and the generations whose end
 * could not be written are marked aborted once it takes writes again. Without that their rows would say "running" until
 * a restart. There are no more of them than ran when it began: what starts later is not kept at all.
 */

import { HoneError } from '../errors.js';
import type { GenerationCompletion, ReplayStore } from '../replay/index.js';
import type { EventLog } from './events/event-log.js';

export interface StoreWatchOptions {
  readonly replay: ReplayStore;
  readonly events: EventLog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class StoreWatch {
  readonly #options: StoreWatchOptions;
  #failure: string | null = null;
  #unended: string[] = [];

  constructor(options: StoreWatchOptions) {
    this.#options = options;
  }

  /** A write was refused. */
  failed(error: HoneError): void {
    if (this.#failure === error.code) return;
    this.#failure = error.code;
    this.#options.events.publish({ type: 'store_failed', detail: `${error.code}: ${error.message}` });
  }

  /** The ends of these generations could not be written. */
  unended(generationIds: readonly string[], error: HoneError): void {
    this.#unended.push(...generationIds);
    if (isRefusal(error)) this.failed(error);
  }

  /** A write has succeeded. */
  async worked(): Promise<void> {
    this.#failure = null;
    const { replay, now } = this.#options;
    for (const id of this.#unended.splice(0)) {
      try {
        await replay.complete([aborted(id, now())]);
      } catch (thrown) {
        const error = HoneError.from(thrown);
        // Anything else than a refusal will not go away: the generation is gone, or the store is.
        if (isRefusal(error)) this.unended([id], error);
      }
    }
  }
}

/** Whether the store takes no writes now: requests are served all the same, but neither kept nor learned from. */
export function isRefusal({ code }: HoneError): boolean {
  return code === 'STORE_FULL' || code === 'STORE_CORRUPT';
}

function aborted(id: string, finishedAtMs: number): GenerationCompletion {
  return {
    id,
    state: 'aborted',
    finishReason: 'error',
    endOfSequence: false,
    tokens: new Uint32Array(0),
    text: '',
    logprobs: new Float32Array(0),
    sampledLogprobs: new Float32Array(0),
    finishedAtMs,
  };
}
