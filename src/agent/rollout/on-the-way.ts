/**
 * The candidates on their way to serving.
 *
 *   offered -> adopting -> waiting -> judging -> trial
 *
 * A candidate is at one place at a time, and a place holds one candidate. An imported adapter, and a version that a
 * restart finds, starts at `waiting` or `trial`. A candidate leaves the way when it goes live, is rejected, or waits
 * for a person.
 *
 * Two rules keep the way narrow. Nothing starts to be judged while another candidate is judged or a canary runs. An
 * offer of the learner is adopted only when nothing else is before it, so that one version is made of all that the
 * learner trains meanwhile.
 */

import { HoneError } from '../../errors.js';
import type { TrialState, Version } from '../../versions/index.js';
import type { PendingOffer } from './pending-offer.js';

/** A version that the gate has not judged. */
export interface UnjudgedCandidate {
  readonly version: Version;
  /** Figures of the training, which may be infinite or NaN. */
  readonly metrics: Readonly<Record<string, number>>;
}

type Place =
  /** The learner offers an adapter. */
  | { readonly at: 'offered'; readonly offer: PendingOffer }
  /** The adapter is becoming a version. */
  | { readonly at: 'adopting'; readonly offer: PendingOffer }
  /** The version waits for the gate. */
  | { readonly at: 'waiting'; readonly candidate: UnjudgedCandidate }
  /** The gate judges the version. */
  | { readonly at: 'judging'; readonly candidate: UnjudgedCandidate }
  /** The version answers requests as a shadow or a canary. */
  | { readonly at: 'trial'; readonly version: Version; readonly as: TrialState };

type Stage = Place['at'];
type PlaceAt<S extends Stage> = Extract<Place, { readonly at: S }>;

export class OnTheWay {
  readonly #places = new Map<Stage, Place>();

  /** The version that waits for the gate. */
  get waiting(): Version | null {
    return this.#at('waiting')?.candidate.version ?? null;
  }

  /** The version that the gate judges. */
  get judging(): Version | null {
    return this.#at('judging')?.candidate.version ?? null;
  }

  get onTrial(): Version | null {
    return this.#at('trial')?.version ?? null;
  }

  /** Whether the gate still has to judge this version. */
  isUnjudged(number: number): boolean {
    return number === this.waiting?.number || number === this.judging?.number;
  }

  /**
   * Puts an offer of the learner on the way.
   * @returns the older offer that it replaces, or `null`
   */
  offer(offer: PendingOffer): PendingOffer | null {
    const replaced = this.withdrawOffer();
    this.#enter({ at: 'offered', offer });
    return replaced;
  }

  /** Takes the offer that is not yet being adopted off the way and returns it. */
  withdrawOffer(): PendingOffer | null {
    return this.#leave('offered')?.offer ?? null;
  }

  /** Moves the offer to `adopting` and returns it, or returns `null` if there is none or something is before it. */
  beginAdopting(): PendingOffer | null {
    const before: readonly Stage[] = ['adopting', 'waiting', 'judging'];
    if (before.some((stage) => this.#places.has(stage)) || this.#isCanaryRunning) return null;
    const offer = this.withdrawOffer();
    if (offer !== null) this.#enter({ at: 'adopting', offer });
    return offer;
  }

  /** The offer has become a version, or cannot become one. */
  endAdopting(): void {
    this.#depart('adopting');
  }

  /** Lets a version wait for the gate. The one that waited before has to leave first. */
  wait(candidate: UnjudgedCandidate): void {
    this.#enter({ at: 'waiting', candidate });
  }

  /** Takes the version that waits for the gate off the way. */
  stopWaiting(): void {
    this.#depart('waiting');
  }

  /** Moves the waiting version to `judging` and returns it, or returns `null` if none waits or the gate is not free. */
  beginJudging(): UnjudgedCandidate | null {
    const waiting = this.#at('waiting');
    if (waiting === null || this.#places.has('judging') || this.#isCanaryRunning) return null;
    this.#leave('waiting');
    this.#enter({ at: 'judging', candidate: waiting.candidate });
    return waiting.candidate;
  }

  /** The gate has judged the version, or cannot judge it. */
  endJudging(): void {
    this.#depart('judging');
  }

  /** Puts a version on trial. The one before has to leave first. */
  beginTrial(version: Version, as: TrialState): void {
    this.#enter({ at: 'trial', version, as });
  }

  endTrial(): void {
    this.#depart('trial');
  }

  get #isCanaryRunning(): boolean {
    return this.#at('trial')?.as === 'canary';
  }

  #at<S extends Stage>(stage: S): PlaceAt<S> | null {
    return (this.#places.get(stage) as PlaceAt<S> | undefined) ?? null;
  }

  #enter(place: Place): void {
    if (this.#places.has(place.at)) {
      throw new HoneError('INTERNAL', `a candidate cannot enter the place "${place.at}": another one is there`);
    }
    this.#places.set(place.at, place);
  }

  #leave<S extends Stage>(stage: S): PlaceAt<S> | null {
    const place = this.#at(stage);
    this.#places.delete(stage);
    return place;
  }

  /** Leaves a place that must not be empty. */
  #depart(stage: Stage): void {
    if (this.#leave(stage) !== null) return;
    throw new HoneError('INTERNAL', `no candidate can leave the place "${stage}": none is there`);
  }
}
