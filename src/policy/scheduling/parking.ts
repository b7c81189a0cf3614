/**
 * Requests whose readers are slow: they hold what they were promised, but neither slots nor a place in the line, and
 * nothing is computed for them until they are resumed.
 */

import type { ActiveRequest } from './active-request.js';
import type { RestingRow } from './row-groups.js';

interface Parked {
  readonly request: ActiveRequest;
  readonly rows: readonly RestingRow[];
  /** Whether completions of it waited for slots, or do now. */
  waits: boolean;
}

export class Parking {
  readonly #parked = new Map<ActiveRequest, Parked>();
  /** Rows that wait for slots to go on in. */
  #resumed: RestingRow[] = [];

  /** Requests that are parked. */
  get size(): number {
    return this.#parked.size;
  }

  /** @param rows its sequences that ran */
  park(request: ActiveRequest, rows: readonly RestingRow[], waits: boolean): void {
    request.parked = true;
    const back = this.#resumed.filter(({ sequence }) => sequence.request === request);
    this.#resumed = this.#resumed.filter(({ sequence }) => sequence.request !== request);
    this.#parked.set(request, { request, rows: [...back, ...rows], waits });
  }

  /** A parked request's prompt has been computed: it waits for a slot when it is resumed. */
  holdBack(request: ActiveRequest): void {
    const parked = this.#parked.get(request);
    if (parked !== undefined) parked.waits = true;
  }

  /** Its rows go on as slots become free. @returns whether its completions go back to the line */
  resume(request: ActiveRequest): boolean {
    const parked = this.#parked.get(request);
    if (parked === undefined) return false;
    this.#parked.delete(request);
    request.parked = false;
    this.#resumed.push(...parked.rows);
    return parked.waits;
  }

  /** Whether rows of requests that are not in the background wait to go on. */
  get waits(): boolean {
    return this.#resumed.some(({ sequence }) => !sequence.request.background);
  }

  /** The next row that goes on, of a request in the background or of another. */
  nextResumed(background: boolean): RestingRow | undefined {
    const index = this.#resumed.findIndex(({ sequence }) => sequence.request.background === background);
    return index < 0 ? undefined : this.#resumed.splice(index, 1)[0];
  }

  /** Takes a request's rows out for good. */
  remove(request: ActiveRequest): RestingRow[] {
    const rows = [
      ...(this.#parked.get(request)?.rows ?? []),
      ...this.#resumed.filter(({ sequence }) => sequence.request === request),
    ];
    this.#parked.delete(request);
    this.#resumed = this.#resumed.filter(({ sequence }) => sequence.request !== request);
    return rows;
  }
}
