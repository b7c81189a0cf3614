/**
 * The share of background requests, which are requests without a waiting user. They start only while no other request
 * waits, and hold at most half of the slots. If another request finds no slot or no memory, the youngest of them ends.
 *
 * The model is not run for background requests alone while others wait. While others run, it is run for them once per
 * turn: for one chunk of a prompt or one step of a group. Background rows in a group with other rows need no run of
 * their own.
 */

import type { ActiveRequest } from './active-request.js';

/** What foreground requests are doing. */
export type ForegroundActivity = 'waiting' | 'running' | 'none';

export class Background {
  readonly #maxSlots: number;
  /** In order of arrival. */
  readonly #requests = new Set<ActiveRequest>();
  /** Runs of the model in this turn for background requests alone. */
  #runs = 0;

  /** @param maxSequences number of all slots */
  constructor(maxSequences: number) {
    this.#maxSlots = Math.max(1, Math.floor(maxSequences / 2));
  }

  /** Background requests that have not ended. */
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

  /** Returns the last one to arrive of those for which `which` returns true. */
  youngest(which: (request: ActiveRequest) => boolean): ActiveRequest | undefined {
    return [...this.#requests].reverse().find(which);
  }

  /** Whether background requests that hold this many slots may take another one. */
  mayTake(slots: number): boolean {
    return slots < this.#maxSlots;
  }

  startTurn(): void {
    this.#runs = 0;
  }

  /** Whether the model may now be run for background requests alone. If so, counts the run. */
  spend(foreground: ForegroundActivity): boolean {
    if (foreground === 'waiting' || (foreground === 'running' && this.#runs > 0)) return false;
    this.#runs += 1;
    return true;
  }
}
