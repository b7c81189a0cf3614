/**
 * Who starts next. Requests take turns in the order of their arrival, a slot and its memory a turn, and one with more
 * completions goes behind those that wait: every request's first completion starts before any other's second.
 *
 * Where the memory for the one whose turn it is is not there, all wait, so that nothing is passed over for long; only
 * requests whose prompts are computed may go on, since they give memory back no other way. Requests in the background
 * stand in a line of their own.
 */

import type { KvBudget } from '../kv/kv-budget.js';
import type { ActiveRequest } from './active-request.js';

export class Slots {
  readonly #budget: KvBudget;
  /** The line, and the line of the background. */
  readonly #turns: { foreground: ActiveRequest[]; background: ActiveRequest[] } = { foreground: [], background: [] };

  constructor(budget: KvBudget) {
    this.#budget = budget;
  }

  /** Whether requests that are not in the background wait. */
  get waits(): boolean {
    return this.#turns.foreground.length > 0;
  }

  /** At the end of the line. */
  add(request: ActiveRequest): void {
    this.#turns[lineOf(request.background)].push(request);
  }

  /** Takes a request out of the line. @returns whether it was there */
  remove(request: ActiveRequest): boolean {
    const turns = this.#turns[lineOf(request.background)];
    const index = turns.indexOf(request);
    if (index >= 0) turns.splice(index, 1);
    return index >= 0;
  }

  /** The request whose turn it is, charged for its next completion; undefined when none can have a slot now. */
  next(background = false): ActiveRequest | undefined {
    const turns = this.#turns[lineOf(background)];
    for (let index = 0; index < turns.length; index++) {
      const request = turns[index] as ActiveRequest;
      if (index > 0 && request.prompt === null) continue;
      if (!this.#charge(request)) continue;
      turns.splice(index, 1);
      return request;
    }
    return undefined;
  }

  #charge(request: ActiveRequest): boolean {
    if (request.chargedCompletion > 0) return true;
    const { prompt, completion } = request.columns;
    // The last completion takes the prompt's columns over; the first one's prompt is yet to be computed.
    const more = request.startsLast ? -request.chargedPrompt : prompt - request.chargedPrompt;
    if (!this.#budget.charge(completion + more)) return false;
    request.chargedPrompt += more;
    request.chargedCompletion = completion;
    return true;
  }

  /** Gives back what a request was charged and did not use. */
  release(request: ActiveRequest): void {
    this.#budget.release(request.chargedPrompt + request.chargedCompletion);
    request.chargedPrompt = 0;
    request.chargedCompletion = 0;
  }
}

function lineOf(background: boolean): 'foreground' | 'background' {
  return background ? 'background' : 'foreground';
}
