/**
 * The versions that a worker can serve, with their tensors. A lease keeps a version while a request runs on it.
 *
 * Version 0 always stays once it is held, because other versions are compared with it and it takes only a few hundred
 * kilobytes. Of the other versions at most `maxLiveVersions` are held. To make room for a new one, the oldest version
 * without a lease is dropped, unless it is live or pinned. Pins are limited so that the live version and the next one
 * always have room.
 */

import { HoneError } from '../errors.js';
import { checkAdapter, checkSameLayers, digestAdapter, zeroAdapter } from '../versions/adapter.js';
import type { Adapter } from '../versions/index.js';
import type { Decoder } from './graph/decoder.js';
import type { AdapterFeeds } from './graph/packed-linears.js';
import type { PolicyVersion } from './policy-version.js';

/** Versions that may not be pinned: the live one and the next one. */
const placesForSwaps = 2;

/** A version with the tensors that are fed to its steps. */
export interface HeldVersion {
  readonly number: number;
  /** Computed from the tensors in the worker. */
  readonly adapterDigest: string;
  readonly adapter: Adapter;
  readonly feeds: AdapterFeeds;
}

export class HeldVersions {
  readonly #decoder: Pick<Decoder, 'targets' | 'feedsOf'>;
  readonly #maximum: number;
  /** In order of arrival. */
  readonly #held = new Map<number, HeldVersion>();
  readonly #leases = new Map<HeldVersion, number>();
  /** Numbers of the pinned versions. */
  readonly #pinned = new Set<number>();
  /** Versions that were unpinned while they had leases. They are dropped with the last lease. */
  readonly #leaving = new Set<HeldVersion>();
  #live: HeldVersion | undefined;

  constructor(decoder: Pick<Decoder, 'targets' | 'feedsOf'>, maximum: number) {
    this.#decoder = decoder;
    this.#maximum = maximum;
  }

  /** @throws HoneError `INTERNAL` if no version is live yet */
  get live(): HeldVersion {
    if (this.#live === undefined) throw new HoneError('INTERNAL', 'no version is live yet');
    return this.#live;
  }

  get numbers(): number[] {
    return [...this.#held.keys()];
  }

  /**
   * Drops unused versions to make room for another one.
   * @param number the number of that version. It needs no room if it is held already.
   * @returns whether there is room
   */
  makeRoomFor(number: number): boolean {
    if (number === 0 || this.#held.has(number)) return true;
    for (const version of this.#counted()) {
      if (this.#counted().length < this.#maximum) break;
      this.drop(version);
    }
    return this.#counted().length < this.#maximum;
  }

  /** Whether room for swaps is left if the version is pinned. */
  isPinnable(number: number): boolean {
    return number === 0 || this.#pinned.has(number) || this.#pinnedBesideZero().length < this.#maximum - placesForSwaps;
  }

  /** @throws HoneError `TOO_MANY_VERSIONS` */
  checkPinnable(number: number): void {
    if (this.isPinnable(number)) return;
    const pinned = this.#pinnedBesideZero().join(', ') || 'none';
    throw new HoneError(
      'TOO_MANY_VERSIONS',
      `version ${number} cannot be held: ${placesForSwaps} of the ${this.#maximum} places for versions are reserved for ` +
        `swaps, and the others are taken by held versions (${pinned}); release one, or raise --max-live-versions`,
    );
  }

  #pinnedBesideZero(): number[] {
    return [...this.#pinned].filter((number) => number !== 0);
  }

  /** Keeps a version until {@link HeldVersions.unpin}. */
  pin(version: HeldVersion): void {
    this.#pinned.add(version.number);
    this.#leaving.delete(version);
  }

  /** Ends a pin. The version is dropped as soon as it has no lease, unless it is live then. */
  unpin(number: number): void {
    const version = this.#held.get(number);
    if (!this.#pinned.delete(number) || version === undefined || number === 0) return;
    this.#leaving.add(version);
    this.#dropLeaving(version);
  }

  /** Whether a version may be dropped once it has no lease. */
  isDroppable(version: HeldVersion): boolean {
    return version !== this.#live && version.number !== 0 && !this.#pinned.has(version.number);
  }

  #counted(): HeldVersion[] {
    return [...this.#held.values()].filter(({ number }) => number !== 0);
  }

  /**
   * Adds a version. The tensors belong to the worker from now on.
   * @throws HoneError `ADAPTER_INVALID` if the tensors have another digest; `ADAPTER_MISMATCH` if they were made for
   * other layers; `VERSION_NOT_SERVABLE` if other tensors are held with this number
   */
  hold({ number, adapterDigest, adapter }: PolicyVersion): HeldVersion {
    checkAdapter(adapter);
    checkSameLayers(adapter, zeroAdapter(this.#decoder.targets, 1, 1));
    const digest = digestAdapter(adapter);
    if (digest !== adapterDigest) {
      throw new HoneError(
        'ADAPTER_INVALID',
        `version ${number} should have the digest ${adapterDigest}, but its tensors have ${digest}`,
      );
    }
    const known = this.#held.get(number);
    if (known?.adapterDigest === digest) return known;
    if (known !== undefined) {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        `version ${number} is already held with digest ${known.adapterDigest}, so weights with digest ${digest} cannot ` +
          'be held with the same number',
      );
    }
    const held = { number, adapterDigest: digest, adapter, feeds: this.#decoder.feedsOf(adapter) };
    this.#held.set(number, held);
    return held;
  }

  /** Makes a held version live: requests that name no version run on it. */
  setLive(version: HeldVersion): void {
    this.#leaving.delete(version);
    this.#live = version;
  }

  /** Drops a version, unless it is live, pinned, leased or version 0. */
  drop(version: HeldVersion): void {
    if (!this.isDroppable(version) || this.#leases.has(version)) return;
    this.#held.delete(version.number);
    this.#leaving.delete(version);
  }

  #dropLeaving(version: HeldVersion): void {
    if (this.#leaving.has(version)) this.drop(version);
  }

  /**
   * Keeps a version, by default the live one, until {@link HeldVersions.release}.
   * @throws HoneError `VERSION_NOT_SERVABLE`
   */
  lease(number?: number): HeldVersion {
    const version = number === undefined ? this.live : this.#held.get(number);
    if (version === undefined) {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        `version ${number} is not held; these are: ${this.numbers.join(', ')}`,
      );
    }
    this.#leases.set(version, (this.#leases.get(version) ?? 0) + 1);
    return version;
  }

  release(version: HeldVersion): void {
    const leases = (this.#leases.get(version) ?? 0) - 1;
    if (leases > 0) this.#leases.set(version, leases);
    else {
      this.#leases.delete(version);
      this.#dropLeaving(version);
    }
  }
}
