/** Whether the agent is closing. From then on it refuses whatever would begin something new. */

import { HoneError } from '../errors.js';

export class Closing {
  #hasBegun = false;

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  begin(): void {
    this.#hasBegun = true;
  }

  /** @throws HoneError `DRAINING` once the agent is closing */
  refuse(): void {
    if (!this.#hasBegun) return;
    throw new HoneError('DRAINING', 'the server is stopping and takes no new requests', { retryAfterMs: 1000 });
  }
}
