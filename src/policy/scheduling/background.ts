/**
 * Requests that nobody waits for. They start while no other request waits, hold at most half of the slots, and the
 * youngest gives way where another request finds no slot or no memory.
 *
 * While others wait, the model is not run for the background alone, and while others run, once a turn: a chunk of a
 * prompt, or a step of one group of rows. Rows that share a step with others' ride along.
 */

import type { ActiveRequest } from './active-request.js';

/** What requests that are not in the background do. */
export type Others = 'wait' | 'run' | 'rest';

export class Background {
  readonly #maxSlots: number;
  /** In the order of their arrival. */
  readonly #requests = new Set<ActiveRequest>();
  /** Of the model, for the background alone, in this turn. */
  #runs = 0;

  /** @param maxSequences slots in all */
  constructor(maxSequences: number) {
    this.#maxSlots = Math.max(1, Math.floor(maxSequences / 2));
  }

  /** Requests that have not come to their end. */
  get size(): number {
    return this.#requests.size;
  }

  get requests(): Iterable<ActiveRequest> {
    return this.#requests;
  }

  add(request: ActiveRequest): void {
    this.#requests.add(request);
  }

  remove(request: ActiveRequest): void {
    this.#requests.delete(request);
  }

  /** The one that arrived last of those that `which` names. */
  youngest(which: (request: ActiveRequest) => boolean): ActiveRequest | undefined {
    return [...this.#requests].reverse().find(which);
  }

  /** Whether a further slot may be taken when so many are. */
  mayTake(slots: number): boolean {
    return slots < this.#maxSlots;
  }

  startTurn(): void {
    this.#runs = 0;
  }

  /** Whether the model may run for the background alone now; counts the run. */
  spend(others: Others): boolean {
    if (others === 'wait' || (others === 'run' && this.#runs > 0)) return false;
    this.#runs += 1;
    return true;
  }
}
