/**
 * Counts the holds of each version on the event loop, so that a restarted worker holds the same versions again. The
 * versions themselves are in the worker (`held-versions.ts`).
 */

import { HoneError } from '../errors.js';
import type { PolicyVersion } from './policy-version.js';

interface Hold {
  readonly version: PolicyVersion;
  count: number;
  /** Whether a worker holds the version. */
  confirmed: boolean;
}

export class HoldCounts {
  readonly #holds = new Map<number, Hold>();

  /** The versions that a new worker must hold. */
  get versions(): PolicyVersion[] {
    return [...this.#holds.values()].filter(({ confirmed }) => confirmed).map(({ version }) => version);
  }

  /**
   * Counts a hold. Call it before the worker is asked, so that another caller's release meanwhile does not drop the
   * version.
   * @throws HoneError `VERSION_NOT_SERVABLE` if other weights are held with this number
   */
  add(version: PolicyVersion): void {
    const known = this.#holds.get(version.number);
    if (known === undefined) {
      this.#holds.set(version.number, { version, count: 1, confirmed: false });
    } else if (known.version.adapterDigest === version.adapterDigest) {
      known.count += 1;
    } else {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        `version ${version.number} is already held with digest ${known.version.adapterDigest}, so weights with digest ` +
          `${version.adapterDigest} cannot be held with the same number`,
      );
    }
  }

  /** Records that the worker holds the version. */
  confirm(number: number): void {
    const hold = this.#holds.get(number);
    if (hold !== undefined) hold.confirmed = true;
  }

  /** @returns whether this was the last hold of the version */
  remove(number: number): boolean {
    const hold = this.#holds.get(number);
    if (hold === undefined) return false;
    hold.count -= 1;
    return hold.count === 0 && this.#holds.delete(number);
  }
}
