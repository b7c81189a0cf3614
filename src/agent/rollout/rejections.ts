/**
 * Rejects versions, and takes the learner back with them.
 *
 * When a learned version is rejected, the learner goes back to the live weights, and what was trained on from the
 * rejected version is rejected as well. Otherwise the learner would go on offering more of the same.
 */

import type { Version, VersionLog } from '../../versions/index.js';
import type { EventLog } from '../events/event-log.js';
import { publishVersionFailure } from '../events/version-failure.js';
import type { Learner } from '../learner.js';
import type { OnTheWay } from './on-the-way.js';
import { type PendingOffer, removeOfferFiles } from './pending-offer.js';

export interface RejectionsOptions {
  readonly versions: VersionLog;
  readonly events: EventLog;
  readonly learner: Learner | null;
  readonly way: OnTheWay;
}

export class Rejections {
  readonly #options: RejectionsOptions;

  constructor(options: RejectionsOptions) {
    this.#options = options;
  }

  /**
   * Rejects a version; on disk when it resolves. The learner goes back unless it has gone on to a newer version that
   * stays on its way.
   */
  async reject(version: Version, reason: string): Promise<void> {
    await this.supersede(version, reason);
    if (version.origin !== 'learned' || this.#hasSuccessor(version)) return;
    await this.rejectWaiting(`it was trained on from version ${version.number}, which was rejected`);
    await this.removeOffer(this.#options.way.withdrawOffer());
    this.#options.learner?.rejected(version.adapterDigest);
  }

  /** Rejects a version for a newer one, which the learner goes on from; on disk when it resolves. */
  async supersede({ number, adapterDigest }: Version, reason: string): Promise<void> {
    const { versions, events, way } = this.#options;
    await versions.reject(number, reason);
    if (number === way.waiting?.number) way.stopWaiting();
    events.publish({ type: 'version_rejected', version: number, adapterDigest, detail: reason });
  }

  /** Rejects the version that waits for the gate if it is a learned one. */
  async rejectWaiting(reason: string): Promise<void> {
    const { waiting } = this.#options.way;
    if (waiting?.origin === 'learned') await this.supersede(waiting, reason);
  }

  /**
   * Removes the files of an offer that was withdrawn, if there is one. An event reports files that cannot be removed.
   * @param exceptIn a directory that stays
   */
  async removeOffer(offer: PendingOffer | null, exceptIn?: string): Promise<void> {
    if (offer === null) return;
    try {
      await removeOfferFiles(offer, exceptIn);
    } catch (thrown) {
      const what = `the files of a withdrawn offer could not be removed from ${offer.directory}`;
      publishVersionFailure(this.#options.events, what, thrown);
    }
  }

  /** Whether a newer learned version is being judged, has passed, or is on trial. */
  #hasSuccessor({ number }: Version): boolean {
    const { versions, way } = this.#options;
    return versions
      .list()
      .filter((other) => other.number > number && other.origin === 'learned')
      .some(
        ({ number: newer, state, verdict }) =>
          newer === way.judging?.number ||
          state === 'shadow' ||
          state === 'canary' ||
          (state === 'candidate' && verdict.length > 0),
      );
  }
}
