/** The versions that are held beside the live one, as the event loop counts them: a worker started anew holds them again. */

import { HoneError } from '../errors.js';
import type { PolicyVersion } from './policy-version.js';

interface Hold {
  readonly version: PolicyVersion;
  count: number;
  /** Whether a worker has taken it in. */
  taken: boolean;
}

export class Holds {
  readonly #holds = new Map<number, Hold>();

  /** What a new worker has to hold. */
  get versions(): PolicyVersion[] {
    return [...this.#holds.values()].filter(({ taken }) => taken).map(({ version }) => version);
  }

  /**
   * Counts a hold before the worker is asked, so that a release meanwhile leaves it what it asked for.
   * @throws HoneError `VERSION_NOT_SERVABLE` when other weights are held under the number
   */
  add(version: PolicyVersion): void {
    const known = this.#holds.get(version.number);
    if (known === undefined) {
      this.#holds.set(version.number, { version, count: 1, taken: false });
    } else if (known.version.adapterDigest === version.adapterDigest) {
      known.count += 1;
    } else {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        `version ${version.number} is held already, with digest ${known.version.adapterDigest}`,
      );
    }
  }

  /** The worker holds it. */
  confirm(number: number): void {
    const hold = this.#holds.get(number);
    if (hold !== undefined) hold.taken = true;
  }

  /** @returns whether this was the last hold of the version */
  remove(number: number): boolean {
    const hold = this.#holds.get(number);
    if (hold === undefined) return false;
    hold.count -= 1;
    return hold.count === 0 && this.#holds.delete(number);
  }
}
