/**
 * What the demo's requests bring, and the time in which they run. The demo's app pauses when it is ahead of the learner:
 * tokens by the time of day would then say that the server had slowed down. What the server draws for itself, as the gate
 * does, is not counted.
 */

import type { GenerateRequest, HoneClient } from '../../client/index.js';

/** What has come of a request so far. */
export interface Answer {
  ids: readonly string[];
  version: number;
  readonly texts: string[];
  /** Completions that have ended. */
  finished: number;
  tokens: number;
}

/** What was counted between two looks. */
export interface Interval {
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

  /** @param now milliseconds from any beginning */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** Sends a request and reads its answer into `answer`, where it stays as far as it came when this throws. */
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

  /** What came since this was last asked. */
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

/** An answer of which nothing has come. */
export function noAnswer(completions: number): Answer {
  return { ids: [], version: 0, texts: new Array<string>(completions).fill(''), finished: 0, tokens: 0 };
}
