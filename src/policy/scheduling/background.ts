/**
 * The share of background requests, which are requests without a waiting user. They start only while no other request
 * waits, and hold at most half of the slots. If another request finds no slot or no memory, the youngest of them ends.
 *
 * The model is not run for background requests alone while others wait. While others run, it is run for them once per
 * turn: for one chunk of a prompt or one step of a group. Background rows in a group with other rows need no run of
 * their own.
 */

import type { BackgroundRuns } from '../policy-status.js';
import type { ActiveRequest } from './active-request.js';

/** What foreground requests are doing. */
export type ForegroundActivity = 'waiting' | 'running' | 'none';

export class Background {
  readonly #maxSlots: number;
  /** In order of arrival. */
  readonly #requests = new Set<ActiveRequest>();
  /** Runs of the model in this turn for background requests alone. */
  #runs = 0;
  readonly #total = { own: 0, others: 0, lost: 0 };

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

  /** Runs of the model since the start. Runs while there are no background requests do not count. */
  get runs(): BackgroundRuns {
    return { ...this.#total };
  }

  /** Counts a run of the model for these rows. */
  ran(rows: readonly { readonly request: ActiveRequest }[]): void {
    if (this.#requests.size === 0) return;
    let own = 0;
    for (const { request } of rows) if (request.background) own += 1;
    if (own === 0) this.#total.others += 1;
    else this.#total.own += 1;
    for (const { request } of rows) if (request.background) request.backgroundRuns += 1 / own;
  }

  /** Counts what was computed for a request that has to give way: it will be computed again. */
  gaveWay({ backgroundRuns }: ActiveRequest): void {
    this.#total.lost += backgroundRuns;
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
