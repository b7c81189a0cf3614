/**
 * Keeps track of a store that refuses writes.
 *
 * One event reports that the refusals begin. Generations whose end could not be written would look as if they were
 * running until a restart, so they are marked aborted as soon as a write succeeds. Their list is bounded by the
 * requests that were running when the refusals began: later requests are not stored at all.
 */

import { HoneError } from '../errors.js';
import type { GenerationCompletion, ReplayStore } from '../replay/index.js';
import type { EventLog } from './events/event-log.js';

export interface StoreOutageOptions {
  readonly replay: ReplayStore;
  readonly events: EventLog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class StoreOutage {
  readonly #options: StoreOutageOptions;
  /** Code of the refusal that was reported; `null` while the store takes writes. */
  #reported: string | null = null;
  /** Generations whose end is not written yet. */
  #withoutEnd: string[] = [];

  constructor(options: StoreOutageOptions) {
    this.#options = options;
  }

  /** Call when the store has refused a write. */
  writeFailed(error: HoneError): void {
    if (this.#reported === error.code) return;
    this.#reported = error.code;
    this.#options.events.publish({ type: 'store_failed', detail: `${error.code}: ${error.message}` });
  }

  /** Call when the end of these generations could not be written. */
  endsNotWritten(generationIds: readonly string[], error: HoneError): void {
    this.#withoutEnd.push(...generationIds);
    if (isRefusal(error)) this.writeFailed(error);
  }

  /** Call when a write has succeeded. Marks the generations without an end as aborted. */
  async writeSucceeded(): Promise<void> {
    this.#reported = null;
    const { replay, now } = this.#options;
    for (const id of this.#withoutEnd.splice(0)) {
      try {
        await replay.complete([aborted(id, now())]);
      } catch (thrown) {
        const error = HoneError.from(thrown);
        // Any other error is final: the generation was erased, or the store is closed.
        if (isRefusal(error)) this.endsNotWritten([id], error);
      }
    }
  }
}

/** Whether the store takes no writes now. Requests are served all the same, but neither kept nor learned from. */
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
