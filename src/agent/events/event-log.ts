/**
 * Publishes the events of the loop and keeps the newest in a ring in memory, which watchers read at their own pace.
 *
 * A watcher keeps a place in the ring and has no queue of its own, so a slow one costs nothing. A watcher whose place
 * has left the ring gets an error.
 */

import { HoneError } from '../../errors.js';
import type { LoopEvent, WatchOptions } from './types.js';

/** Keeps events outside memory, so that the numbering and the newest events outlive the process. */
export interface EventJournal {
  /** Events of earlier runs, oldest first. */
  readonly restored: readonly LoopEvent[];
  /** The last number that was given; that of the last restored event unless later events were lost. */
  readonly lastSequence: number;
  /** The event outlives a kill of the process once this returns. */
  append(event: LoopEvent): void;
  close(): void;
}

export interface EventLogOptions {
  /** Number of events that are kept. Default 1000. */
  readonly capacity?: number;
  readonly journal?: EventJournal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class EventLog {
  readonly #capacity: number;
  readonly #journal: EventJournal | undefined;
  readonly #now: () => number;
  /** Oldest first, numbered without gaps. */
  #events: LoopEvent[];
  #lastSequence: number;
  #closed = false;
  readonly #wake = new Set<() => void>();

  constructor(options: EventLogOptions) {
    this.#capacity = options.capacity ?? 1000;
    this.#journal = options.journal;
    this.#now = options.now;
    this.#events = [...(options.journal?.restored ?? [])].slice(-this.#capacity);
    this.#lastSequence = options.journal?.lastSequence ?? 0;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  publish(event: Omit<LoopEvent, 'sequence' | 'atMs'>): void {
    // No watcher could get it any more, and the next run would give its number again.
    if (this.#closed) return;
    this.#lastSequence += 1;
    const numbered: LoopEvent = { sequence: this.#lastSequence, atMs: this.#now(), ...event };
    this.#journal?.append(numbered);
    this.#events.push(numbered);
    // The ring is cut in blocks, because a shift per event would move all of it each time.
    if (this.#events.length >= this.#capacity * 2) this.#events = this.#events.slice(-this.#capacity);
    this.#wakeAll();
  }

  /** Whether an event with these figures is among those that are kept. */
  has(type: LoopEvent['type'], numbers: Readonly<Record<string, number>>): boolean {
    const wanted = Object.entries(numbers);
    return this.#events.some((event) => event.type === type && wanted.every(([key, n]) => event.numbers?.[key] === n));
  }

  /**
   * Batches of events in order, until the signal aborts.
   * @throws HoneError `EVENTS_NOT_FOUND` if the events after that number are not kept; `DRAINING` once the log is closed
   */
  async *watch(options: WatchOptions, signal?: AbortSignal): AsyncGenerator<readonly LoopEvent[]> {
    const types = new Set(options.types ?? []);
    let seen = this.#startOf(options.afterSequence);
    while (signal?.aborted !== true) {
      const first = this.#events[0]?.sequence ?? this.#lastSequence + 1;
      if (seen + 1 < first) throw notFound(seen, first, this.#lastSequence);
      const fresh = this.#events.slice(seen + 1 - first);
      seen = this.#lastSequence;
      const wanted = types.size === 0 ? fresh : fresh.filter(({ type }) => types.has(type));
      if (wanted.length > 0) yield wanted;
      else if (this.#closed) throw new HoneError('DRAINING', 'the server is stopping; watch again after its restart');
      else if (fresh.length === 0) await this.#next(signal);
    }
  }

  /** Ends every watcher after the last event, and closes the journal. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeAll();
    this.#journal?.close();
  }

  #startOf(afterSequence: number | undefined): number {
    if (afterSequence === undefined) return this.#lastSequence;
    const first = this.#events[0]?.sequence ?? this.#lastSequence + 1;
    if (afterSequence === 0) return first - 1;
    if (afterSequence > this.#lastSequence) throw notFound(afterSequence, first, this.#lastSequence);
    return afterSequence;
  }

  #next(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wake.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#wake.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  #wakeAll(): void {
    for (const wake of this.#wake) wake();
  }
}

function notFound(after: number, first: number, last: number): HoneError {
  return new HoneError(
    'EVENTS_NOT_FOUND',
    `events after ${after} are not kept: the server keeps ${first} to ${last}; watch from 0 for all that are kept`,
  );
}
