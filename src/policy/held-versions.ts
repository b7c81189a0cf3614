/**
 * The versions that a worker can serve: their tensors, and leases that keep them while sequences run on them.
 *
 * Version 0, where it was handed over, stays for good: it is the reference that others are compared with, and costs a
 * few hundred kilobytes. Of the others at most `maxLiveVersions` are there; the oldest without a lease makes room. Those
 * that are pinned never do, and are so few that the live one and the next have room beside them.
 */

import { HoneError } from '../errors.js';
import { checkAdapter, checkSameLayers, digestAdapter, zeroAdapter } from '../versions/adapter.js';
import type { Adapter } from '../versions/index.js';
import type { Decoder } from './graph/decoder.js';
import type { AdapterFeeds } from './graph/packed-linears.js';
import type { PolicyVersion } from './policy-version.js';

/** Places that pinned versions leave: the live version's and the next one's. */
const placesForSwaps = 2;

/** A version with the tensors that steps on it are fed. */
export interface HeldVersion {
  readonly number: number;
  /** Computed over the tensors that are held. */
  readonly adapterDigest: string;
  readonly adapter: Adapter;
  readonly feeds: AdapterFeeds;
}

export class HeldVersions {
  readonly #decoder: Pick<Decoder, 'targets' | 'feedsOf'>;
  readonly #maximum: number;
  /** In the order of their arrival. */
  readonly #held = new Map<number, HeldVersion>();
  readonly #leases = new Map<HeldVersion, number>();
  /** Numbers of the versions that stay until they are unpinned. */
  readonly #pinned = new Set<number>();
  /** Unpinned while they had leases: they go with the last. */
  readonly #leaving = new Set<HeldVersion>();
  #live: HeldVersion | undefined;

  constructor(decoder: Pick<Decoder, 'targets' | 'feedsOf'>, maximum: number) {
    this.#decoder = decoder;
    this.#maximum = maximum;
  }

  /** @throws HoneError `INTERNAL` before the first version */
  get live(): HeldVersion {
    if (this.#live === undefined) throw new HoneError('INTERNAL', 'no version is live yet');
    return this.#live;
  }

  get numbers(): number[] {
    return [...this.#held.keys()];
  }

  /**
   * Whether a further version may come; drops what nobody uses to make room.
   * @param number the version that would come: no room is needed for one that is held
   */
  makeRoomFor(number: number): boolean {
    if (number === 0 || this.#held.has(number)) return true;
    for (const version of this.#counted()) {
      if (this.#counted().length < this.#maximum) break;
      this.drop(version);
    }
    return this.#counted().length < this.#maximum;
  }

  /** Whether pinning the version leaves room for swaps. */
  isPinnable(number: number): boolean {
    return number === 0 || this.#pinned.has(number) || this.#pinnedBesideZero().length < this.#maximum - placesForSwaps;
  }

  /** @throws HoneError `TOO_MANY_VERSIONS` */
  checkPinnable(number: number): void {
    if (this.isPinnable(number)) return;
    const pinned = this.#pinnedBesideZero().join(', ') || 'none';
    throw new HoneError(
      'TOO_MANY_VERSIONS',
      `version ${number} cannot be held: of ${this.#maximum} versions ${placesForSwaps} are left to swaps, and held are ${pinned}; release one, or allow more versions`,
    );
  }

  #pinnedBesideZero(): number[] {
    return [...this.#pinned].filter((number) => number !== 0);
  }

  /** Keeps a version that is held until {@link HeldVersions.unpin}. */
  pin(version: HeldVersion): void {
    this.#pinned.add(version.number);
    this.#leaving.delete(version);
  }

  /** Drops the version as soon as it has no lease, unless it is live then. */
  unpin(number: number): void {
    const version = this.#held.get(number);
    if (!this.#pinned.delete(number) || version === undefined || number === 0) return;
    this.#leaving.add(version);
    this.#dropLeaving(version);
  }

  /** Whether a version makes room when nothing runs on it. */
  isPassing(version: HeldVersion): boolean {
    return version !== this.#live && version.number !== 0 && !this.#pinned.has(version.number);
  }

  #counted(): HeldVersion[] {
    return [...this.#held.values()].filter(({ number }) => number !== 0);
  }

  /**
   * Takes a version in; the tensors become the worker's.
   * @throws HoneError `ADAPTER_INVALID` when the digest is not the one of these tensors; `ADAPTER_MISMATCH` when they
   * were made for other layers; `VERSION_NOT_SERVABLE` when other tensors are held under the number
   */
  hold({ number, adapterDigest, adapter }: PolicyVersion): HeldVersion {
    checkAdapter(adapter);
    checkSameLayers(adapter, zeroAdapter(this.#decoder.targets, 1, 1));
    const digest = digestAdapter(adapter);
    if (digest !== adapterDigest) {
      throw new HoneError(
        'ADAPTER_INVALID',
        `version ${number} should have digest ${adapterDigest}, but has ${digest}`,
      );
    }
    const known = this.#held.get(number);
    if (known?.adapterDigest === digest) return known;
    if (known !== undefined) {
      throw new HoneError(
        'VERSION_NOT_SERVABLE',
        `version ${number} is held already, with digest ${known.adapterDigest}`,
      );
    }
    const held = { number, adapterDigest: digest, adapter, feeds: this.#decoder.feedsOf(adapter) };
    this.#held.set(number, held);
    return held;
  }

  /** Makes a held version the one for requests that name none. */
  setLive(version: HeldVersion): void {
    this.#leaving.delete(version);
    this.#live = version;
  }

  /** Gives a version up, unless it stays or something runs on it. */
  drop(version: HeldVersion): void {
    if (!this.isPassing(version) || this.#leases.has(version)) return;
    this.#held.delete(version.number);
    this.#leaving.delete(version);
  }

  #dropLeaving(version: HeldVersion): void {
    if (this.#leaving.has(version)) this.drop(version);
  }

  /**
   * Keeps a version, the live one by default, from being dropped until {@link HeldVersions.release}.
   * @throws HoneError `VERSION_NOT_SERVABLE`
   */
  lease(number?: number): HeldVersion {
    const version = number === undefined ? this.live : this.#held.get(number);
    if (version === undefined) {
      throw new HoneError('VERSION_NOT_SERVABLE', `version ${number} is not held; held are ${this.numbers.join(', ')}`);
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
