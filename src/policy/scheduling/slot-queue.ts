/**
 * Decides which request gets the next slot. Requests take turns in order of arrival, with one slot and its memory per
 * turn. A request with more completions goes to the end of the queue, so that the first completion of every request
 * starts before the second one of any.
 *
 * If the memory for the request at the front is not free, all others wait too, so that it is not overtaken for long.
 * Only requests with a computed prompt may overtake it, because they release their prompt's memory only by going on.
 * Background requests have a queue of their own.
 */

import type { KvBudget } from '../kv/kv-budget.js';
import type { ActiveRequest } from './active-request.js';

export class SlotQueue {
  readonly #budget: KvBudget;
  readonly #queues: { foreground: ActiveRequest[]; background: ActiveRequest[] } = { foreground: [], background: [] };

  constructor(budget: KvBudget) {
    this.#budget = budget;
  }

  /** Whether a foreground request waits. */
  get hasWaiting(): boolean {
    return this.#queues.foreground.length > 0;
  }

  /** Puts a request at the end of its queue. */
  add(request: ActiveRequest): void {
    this.#queues[queueOf(request.background)].push(request);
  }

  /** Removes a request. @returns whether it was waiting */
  remove(request: ActiveRequest): boolean {
    const queue = this.#queues[queueOf(request.background)];
    const index = queue.indexOf(request);
    if (index >= 0) queue.splice(index, 1);
    return index >= 0;
  }

  /** Removes the next request and charges it for its next completion. @returns undefined if no request can start now */
  next(background = false): ActiveRequest | undefined {
    const queue = this.#queues[queueOf(background)];
    for (let index = 0; index < queue.length; index++) {
      const request = queue[index] as ActiveRequest;
      if (index > 0 && request.prompt === null) continue;
      if (!this.#charge(request)) continue;
      queue.splice(index, 1);
      return request;
    }
    return undefined;
  }

  #charge(request: ActiveRequest): boolean {
    if (request.chargedCompletion > 0) return true;
    const { prompt, completion } = request.columns;
    // The last completion takes over the columns of the prompt. Before the first one, the prompt itself must be
    // charged.
    const more = request.startsLast ? -request.chargedPrompt : prompt - request.chargedPrompt;
    if (!this.#budget.charge(completion + more)) return false;
    request.chargedPrompt += more;
    request.chargedCompletion = completion;
    return true;
  }

  /** Releases what a request was charged for and has not used. */
  release(request: ActiveRequest): void {
    this.#budget.release(request.chargedPrompt + request.chargedCompletion);
    request.chargedPrompt = 0;
    request.chargedCompletion = 0;
  }
}

function queueOf(background: boolean): 'foreground' | 'background' {
  return background ? 'background' : 'foreground';
}
