/**
 * Sends the demo's requests and counts their tokens and the time in which at least one ran. Only that time counts for
 * the speed, because the app pauses when it is ahead of the learner. Completions that the server draws for itself, such
 * as those of the gate, are not counted.
 */

import type { GenerateRequest, HoneClient } from '../../client/index.js';

/** The part of a request's answer that has arrived. */
interface Answer {
  ids: readonly string[];
  version: number;
  readonly texts: string[];
  /** Completions that have ended. */
  finished: number;
  tokens: number;
}

/** Counts between two calls of {@link Traffic.take}. */
interface Interval {
  /** Milliseconds with at least one request in flight. */
  readonly busyMs: number;
  readonly tokens: number;
}

export class Traffic {
  readonly #now: () => number;
  #inFlight = 0;
  #busyMs = 0;
  #tokens = 0;
  #since: number;

  /** @param now returns milliseconds since any fixed time */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** Sends a request and reads its answer into `answer`, which keeps the part that has arrived if this throws. */
  async send(
    client: Pick<HoneClient, 'stream'>,
    request: GenerateRequest & { readonly n: number },
    answer: Answer = noAnswer(request.n),
  ): Promise<Answer> {
    this.#pass();
    this.#inFlight += 1;
    try {
      for await (const event of client.stream(request)) {
        if (event.type === 'started') {
          answer.ids = event.generationIds;
          answer.version = event.version;
        } else if (event.type === 'chunk') {
          answer.texts[event.index] += event.text;
          answer.tokens += event.tokenIds.length;
          this.#tokens += event.tokenIds.length;
        } else if (event.type === 'finished') answer.finished += 1;
      }
      return answer;
    } finally {
      this.#pass();
      this.#inFlight -= 1;
    }
  }

  /** Returns the counts since the last call. */
  take(): Interval {
    this.#pass();
    const interval = { busyMs: this.#busyMs, tokens: this.#tokens };
    this.#busyMs = 0;
    this.#tokens = 0;
    return interval;
  }

  #pass(): void {
    const now = this.#now();
    if (this.#inFlight > 0) this.#busyMs += now - this.#since;
    this.#since = now;
  }
}

/** Returns an empty answer with room for the completions. */
export function noAnswer(completions: number): Answer {
  return { ids: [], version: 0, texts: new Array<string>(completions).fill(''), finished: 0, tokens: 0 };
}
