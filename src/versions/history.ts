/** The version log as a value: what the entries so far add up to. Immutable; the file behind it is `log-file.ts`. */

import { HoneError } from '../errors.js';
import { transition } from './transitions.js';
import type { TrialState, Version, VersionCheck } from './types.js';

/** One line of the log. */
export type LogEntry =
  /** A new version: a candidate, or (a base) the new head at once. */
  | { readonly type: 'version'; readonly version: Version }
  /** A candidate became the head; the head before it is retired. */
  | { readonly type: 'promoted'; readonly number: number }
  | { readonly type: 'rejected'; readonly number: number; readonly reason: string }
  /** The gate has looked at a candidate. */
  | { readonly type: 'judged'; readonly number: number; readonly verdict: readonly VersionCheck[] }
  /** A candidate is tried on real traffic. */
  | { readonly type: 'trial'; readonly number: number; readonly state: TrialState }
  /** Its trial ended undecided: it waits as a candidate. */
  | { readonly type: 'set_aside'; readonly number: number }
  /** The version's adapter is deleted, and with it what rollbacks to it serve. */
  | { readonly type: 'removed'; readonly number: number };

export class VersionHistory {
  /** All versions; the index is the number. */
  readonly versions: readonly Version[];
  /** Every version that was ever the head, in the order in which it became so; a number appears once. */
  readonly heads: readonly number[];

  constructor(versions: readonly Version[] = [], heads: readonly number[] = []) {
    this.versions = versions;
    this.heads = heads;
  }

  get head(): Version | undefined {
    const number = this.heads.at(-1);
    return number === undefined ? undefined : this.versions[number];
  }

  get nextNumber(): number {
    return this.versions.length;
  }

  /** @throws HoneError `VERSION_NOT_FOUND` */
  get(number: number): Version {
    const version = this.versions[number];
    if (version === undefined) {
      throw new HoneError(
        'VERSION_NOT_FOUND',
        `there is no version ${number}; versions go from 0 to ${this.nextNumber - 1}`,
      );
    }
    return version;
  }

  /** The version whose weights a version serves: itself, or, for a rollback, the one that it points at. */
  weightsOf(number: number): Version {
    let version = this.get(number);
    while (version.origin === 'rollback' && version.parent !== null) version = this.get(version.parent);
    return version;
  }

  /**
   * The history with one more entry.
   * @throws HoneError `VERSION_NOT_SERVABLE`, `VERSION_NOT_FOUND`, `INTERNAL` for an entry that cannot follow
   */
  apply(entry: LogEntry): VersionHistory {
    switch (entry.type) {
      case 'version':
        return this.#add(entry.version);
      case 'promoted':
        return this.#withHead(transition(this.get(entry.number), 'live'));
      case 'rejected':
        return this.#with({ ...transition(this.get(entry.number), 'rejected'), rejectedBecause: entry.reason });
      case 'judged':
        return this.#with({ ...checkCandidate(this.get(entry.number)), verdict: entry.verdict });
      case 'trial':
        return this.#with(transition(this.get(entry.number), entry.state));
      case 'set_aside':
        return this.#with(transition(this.get(entry.number), 'candidate'));
      case 'removed':
        return this.#withoutWeights(this.get(entry.number));
    }
  }

  #with(version: Version): VersionHistory {
    return new VersionHistory(this.versions.with(version.number, version), this.heads);
  }

  #add(version: Version): VersionHistory {
    const { number, state, origin, parent } = version;
    if (number !== this.nextNumber || state !== (origin === 'base' ? 'live' : 'candidate')) {
      throw new HoneError('INTERNAL', `version ${number} (${origin}, ${state}) cannot follow ${this.nextNumber - 1}`);
    }
    if (parent !== null && !(parent >= 0 && parent < number)) {
      throw new HoneError('INTERNAL', `version ${number} names ${parent} as its parent`);
    }
    // Logs of before the gate say nothing of it, and logs of before adapters were removed do not say that they are kept.
    const weights = origin === 'rollback' && parent !== null ? this.get(parent).weights : 'kept';
    const recorded = {
      ...version,
      verdict: version.verdict ?? [],
      rejectedBecause: version.rejectedBecause ?? null,
      weights,
    } as const;
    const extended = new VersionHistory([...this.versions, recorded], this.heads);
    return origin === 'base' ? extended.#withHead(recorded) : extended;
  }

  #withoutWeights({ number }: Version): VersionHistory {
    const users = new Set(this.versions.filter((version) => this.weightsOf(version.number).number === number));
    for (const { number: user, state, origin } of users) {
      if (origin === 'base' || (state !== 'retired' && state !== 'rejected')) {
        throw new HoneError('INTERNAL', `version ${user} (${origin}, ${state}) needs the adapter of version ${number}`);
      }
    }
    const versions = this.versions.map((version) =>
      users.has(version) ? { ...version, weights: 'removed' as const } : version,
    );
    return new VersionHistory(versions, this.heads);
  }

  #withHead(version: Version): VersionHistory {
    const { head } = this;
    const versions = head === undefined ? this.versions : this.versions.with(head.number, transition(head, 'retired'));
    return new VersionHistory(versions.with(version.number, version), [...this.heads, version.number]);
  }
}

function checkCandidate(version: Version): Version {
  if (version.state === 'candidate') return version;
  throw new HoneError(
    'VERSION_NOT_SERVABLE',
    `version ${version.number} is ${version.state}; only candidates are judged`,
  );
}
