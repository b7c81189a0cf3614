/**
 * Keeps track of a store that refuses writes, or does not answer.
 *
 * One event reports that the refusals begin. Generations whose end could not be written would look as if they were
 * running until a restart, so they are marked aborted as soon as a write succeeds. Their list is bounded by the
 * requests that were running when the refusals began: later requests are not stored at all.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { HoneError } from '../errors.js';
import type { GenerationCompletion, ReplayStatus, ReplayStore } from '../replay/index.js';
import type { EventLog } from './events/event-log.js';

export interface StoreOutageOptions {
  readonly replay: ReplayStore;
  readonly events: EventLog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long the status waits for the store, milliseconds. Default 1000. */
  readonly statusWithinMs?: number;
  /** Time between two attempts to write while another program holds the lock, milliseconds. Default 1000. */
  readonly tryEveryMs?: number;
}

/**
 * How often a write that no caller waits for is tried while another program holds the lock. A promotion or a rollback may
 * wait for such a write, so all attempts together take a few seconds.
 */
const maxTriesWhenBusy = 4;

export class StoreOutage {
  readonly #options: StoreOutageOptions;
  /** The refusal that was reported; `null` while the store takes writes. */
  #refusal: HoneError | null = null;
  /** Generations whose end is not written yet. */
  #withoutEnd: string[] = [];
  /** The last answer of the store about its status. */
  #known: ReplayStatus = nothingKnown;
  readonly #closing = new AbortController();
  /** Whether an attempt to write is planned. */
  #trying = false;

  constructor(options: StoreOutageOptions) {
    this.#options = options;
  }

  /** Whether generations are kept, as far as the last write tells. */
  get keepsAnswers(): boolean {
    return this.#refusal === null || !isRefusal(this.#refusal);
  }

  /** Call when the store has refused a write. */
  writeFailed(error: HoneError): void {
    const reported = this.#refusal?.code === error.code;
    this.#refusal = error;
    if (!reported) this.#options.events.publish({ type: 'store_failed', detail: `${error.code}: ${error.message}` });
    if (error.code === 'STORE_BUSY') void this.#tryUntilFree();
  }

  /** Call when the end of these generations could not be written. */
  endsNotWritten(generationIds: readonly string[], error: HoneError): void {
    this.#withoutEnd.push(...generationIds);
    if (isFailure(error)) this.writeFailed(error);
  }

  /** Call when a write has succeeded. Marks the generations without an end as aborted. */
  async writeSucceeded(): Promise<void> {
    this.#refusal = null;
    const { replay, now } = this.#options;
    for (const id of this.#withoutEnd.splice(0)) {
      try {
        await replay.complete([aborted(id, now())]);
      } catch (thrown) {
        const error = HoneError.from(thrown);
        // Any other error is final: the generation was erased, or the store is closed.
        if (isFailure(error)) this.endsNotWritten([id], error);
      }
    }
  }

  /**
   * Does a write that no caller waits for, and tries it again for a few seconds while another program holds the lock.
   * @throws what the write throws
   */
  async whenFree<Result>(write: () => Promise<Result>): Promise<Result> {
    for (let tries = 1; ; tries++) {
      try {
        return await write();
      } catch (thrown) {
        const error = HoneError.from(thrown);
        if (error.code !== 'STORE_BUSY' || tries >= maxTriesWhenBusy) throw error;
        this.writeFailed(error);
        if (!(await this.#pause())) throw error;
      }
    }
  }

  /** Waits for no lock any more. Idempotent. */
  close(): void {
    this.#closing.abort();
  }

  /** Finds out when the other program's lock has gone, also if no caller writes. */
  async #tryUntilFree(): Promise<void> {
    if (this.#trying) return;
    this.#trying = true;
    try {
      while (this.#refusal?.code === 'STORE_BUSY' && (await this.#pause())) {
        // It writes nothing, but needs the lock.
        await this.#options.replay.write([]).then(
          () => this.writeSucceeded(),
          () => undefined,
        );
      }
    } finally {
      this.#trying = false;
    }
  }

  /** Returns whether the time has passed, and not the server's. */
  async #pause(): Promise<boolean> {
    const { signal } = this.#closing;
    const { tryEveryMs = 1000 } = this.#options;
    return delay(tryEveryMs, true, { signal, ref: false }).catch(() => false);
  }

  /**
   * The status of the store, and why it does not answer or takes no writes. A store that fails, or does not answer in
   * time, gives the figures of its last answer. Never rejects.
   */
  async status(): Promise<readonly [ReplayStatus, HoneError | null]> {
    const { replay, statusWithinMs = 1000 } = this.#options;
    const waiting = new AbortController();
    const late = delay(statusWithinMs, undefined, { signal: waiting.signal }).then(
      () => new HoneError('DEADLINE_EXCEEDED', `the store did not answer within ${statusWithinMs} ms`),
      () => null,
    );
    const answer = replay.status().then(
      (status) => status,
      (thrown: unknown) => HoneError.from(thrown),
    );
    const first = await Promise.race([answer, late]);
    waiting.abort();
    if (first instanceof HoneError) return [this.#known, first];
    if (first !== null) this.#known = first;
    const { refusal } = this.#known;
    return [this.#known, this.#refusal ?? (refusal === null ? null : HoneError.fromJSON(refusal))];
  }
}

/** Whether the store takes no writes for long. Requests are served all the same, but neither kept nor learned from. */
export function isRefusal({ code }: HoneError): boolean {
  return code === 'STORE_FULL' || code === 'STORE_CORRUPT';
}

/** Whether the store takes no writes now: as {@link isRefusal}, or because another program holds its lock. */
export function isFailure(error: HoneError): boolean {
  return isRefusal(error) || error.code === 'STORE_BUSY';
}

const nothingKnown: ReplayStatus = {
  generations: 0,
  finished: 0,
  running: 0,
  aborted: 0,
  scores: 0,
  scoredGenerations: 0,
  preferences: 0,
  edits: 0,
  lastSequence: 0,
  oldestGenerationAtMs: null,
  fileBytes: 0,
  usedBytes: 0,
  logBytes: 0,
  logHeldSinceMs: null,
  maxBytes: null,
  maxAgeMs: null,
  refusal: null,
};

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
