/**
 * Holds requests whose readers are slow. They keep the memory that they were promised, but no slots and no place in the
 * slot queue, and nothing is computed for them until they are resumed.
 */

import type { ActiveRequest } from './active-request.js';
import type { DetachedRow } from './row-groups.js';

interface Parked {
  readonly request: ActiveRequest;
  readonly rows: readonly DetachedRow[];
  /** Whether it goes back to the slot queue when it is resumed. */
  needsSlot: boolean;
}

export class Parking {
  readonly #parked = new Map<ActiveRequest, Parked>();
  /** Rows of resumed requests that wait for slots. */
  #resumed: DetachedRow[] = [];

  /** Number of parked requests. */
  get size(): number {
    return this.#parked.size;
  }

  /**
   * @param rows the request's rows, detached from their groups
   * @param needsSlot whether the request was in the slot queue
   */
  park(request: ActiveRequest, rows: readonly DetachedRow[], needsSlot: boolean): void {
    request.parked = true;
    const back = this.#resumed.filter(({ sequence }) => sequence.request === request);
    this.#resumed = this.#resumed.filter(({ sequence }) => sequence.request !== request);
    this.#parked.set(request, { request, rows: [...back, ...rows], needsSlot });
  }

  /** Call when the prompt of a parked request has been computed. The request then needs a slot when it is resumed. */
  promptReady(request: ActiveRequest): void {
    const parked = this.#parked.get(request);
    if (parked !== undefined) parked.needsSlot = true;
  }

  /** Lets the rows of a request go on as slots become free. @returns whether the request goes back to the slot queue */
  resume(request: ActiveRequest): boolean {
    const parked = this.#parked.get(request);
    if (parked === undefined) return false;
    this.#parked.delete(request);
    request.parked = false;
    this.#resumed.push(...parked.rows);
    return parked.needsSlot;
  }

  /** Whether resumed rows of foreground requests wait for slots. */
  get hasResumed(): boolean {
    return this.#resumed.some(({ sequence }) => !sequence.request.background);
  }

  /** Removes and returns the next resumed row of a background or of a foreground request. */
  nextResumed(background: boolean): DetachedRow | undefined {
    const index = this.#resumed.findIndex(({ sequence }) => sequence.request.background === background);
    return index < 0 ? undefined : this.#resumed.splice(index, 1)[0];
  }

  /** Removes a request and returns its rows. */
  remove(request: ActiveRequest): DetachedRow[] {
    const rows = [
      ...(this.#parked.get(request)?.rows ?? []),
      ...this.#resumed.filter(({ sequence }) => sequence.request === request),
    ];
    this.#parked.delete(request);
    this.#resumed = this.#resumed.filter(({ sequence }) => sequence.request !== request);
    return rows;
  }
}
