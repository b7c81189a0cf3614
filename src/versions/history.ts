/** The state that the entries of the version log add up to. It is immutable; `log-file.ts` keeps the file. */

import { HoneError } from '../errors.js';
import { transition } from './transitions.js';
import type { TrialState, Version, VersionCheck } from './types.js';

/** One line of the log. */
export type LogEntry =
  /** There is a new version: a candidate, or a base version, which is live at once. */
  | { readonly type: 'version'; readonly version: Version }
  /** A candidate became live, and the live version before it is retired. */
  | { readonly type: 'promoted'; readonly number: number }
  | { readonly type: 'rejected'; readonly number: number; readonly reason: string }
  /** The gate judged a candidate. */
  | { readonly type: 'judged'; readonly number: number; readonly verdict: readonly VersionCheck[] }
  /** A candidate went on trial on real traffic. */
  | { readonly type: 'trial'; readonly number: number; readonly state: TrialState }
  /** A trial ended undecided, and its version is a candidate again. */
  | { readonly type: 'set_aside'; readonly number: number }
  /** The version's adapter is deleted, and with it the weights of the rollbacks to it. */
  | { readonly type: 'removed'; readonly number: number }
  /** Lines of the log are lost, and a person goes on without them: no number below `next` is given again. */
  | { readonly type: 'lost'; readonly next: number };

export class VersionHistory {
  /** All versions, by rising number. Numbers are missing only where lines of the log were lost. */
  readonly versions: readonly Version[];
  /** Numbers of all versions that are or were live, in the order in which they became live. Each appears once. */
  readonly served: readonly number[];
  /** The number of the next version: above every number that was ever given. */
  readonly nextNumber: number;

  constructor(versions: readonly Version[] = [], served: readonly number[] = [], nextNumber = 0) {
    this.versions = versions;
    this.served = served;
    this.nextNumber = nextNumber;
  }

  get live(): Version | undefined {
    const number = this.served.at(-1);
    return number === undefined ? undefined : this.find(number);
  }

  /** The version of that number, if there is one. */
  find(number: number): Version | undefined {
    return this.versions[this.#indexOf(number)];
  }

  /** @throws HoneError `VERSION_NOT_FOUND` */
  get(number: number): Version {
    const version = this.find(number);
    if (version === undefined) {
      throw new HoneError(
        'VERSION_NOT_FOUND',
        `there is no version ${number}; versions go from ${this.versions[0]?.number ?? 0} to ${this.nextNumber - 1}`,
      );
    }
    return version;
  }

  /** The version whose weights this one serves: itself, or the target of a rollback. */
  weightsOf(number: number): Version {
    let version = this.get(number);
    while (version.origin === 'rollback' && version.parent !== null) version = this.get(version.parent);
    return version;
  }

  /**
   * Returns the history with one more entry.
   * @throws HoneError `VERSION_NOT_SERVABLE`, `VERSION_NOT_FOUND`, `INTERNAL` for an entry that contradicts the history
   */
  apply(entry: LogEntry): VersionHistory {
    switch (entry.type) {
      case 'version':
        return this.#add(entry.version);
      case 'promoted':
        return this.#withLive(transition(this.get(entry.number), 'live'));
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
      case 'lost':
        return this.#goOnFrom(entry.next);
    }
  }

  /** Place of a number in the versions; -1 if there is none. */
  #indexOf(number: number): number {
    if (this.versions[number]?.number === number) return number;
    return this.versions.findLastIndex((version) => version.number === number);
  }

  #goOnFrom(next: number): VersionHistory {
    if (next > this.nextNumber) return new VersionHistory(this.versions, this.served, next);
    throw new HoneError('INTERNAL', `the next version is ${this.nextNumber} and cannot become ${next}`);
  }

  #with(version: Version): VersionHistory {
    return this.#changed(this.versions.with(this.#indexOf(version.number), version));
  }

  #changed(versions: readonly Version[], served = this.served): VersionHistory {
    return new VersionHistory(versions, served, this.nextNumber);
  }

  #add(version: Version): VersionHistory {
    const { number, state, origin, parent } = version;
    if (number !== this.nextNumber || state !== (origin === 'base' ? 'live' : 'candidate')) {
      throw new HoneError(
        'INTERNAL',
        `version ${number} (${origin}, ${state}) cannot follow version ${this.nextNumber - 1}`,
      );
    }
    if (parent !== null && this.find(parent) === undefined) {
      throw new HoneError('INTERNAL', `version ${number} names version ${parent}, which does not exist, as its parent`);
    }
    // Logs of earlier Hones lack the verdict, the reason of a rejection, and whether the weights are kept.
    const weights = origin === 'rollback' && parent !== null ? this.get(parent).weights : 'kept';
    const recorded = {
      ...version,
      verdict: version.verdict ?? [],
      rejectedBecause: version.rejectedBecause ?? null,
      weights,
    } as const;
    const extended = new VersionHistory([...this.versions, recorded], this.served, number + 1);
    return origin === 'base' ? extended.#withLive(recorded) : extended;
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
    return this.#changed(versions);
  }

  #withLive(version: Version): VersionHistory {
    const { live } = this;
    const before = live === undefined ? this : this.#with(transition(live, 'retired'));
    return this.#changed(before.#with(version).versions, [...this.served, version.number]);
  }
}

function checkCandidate(version: Version): Version {
  if (version.state === 'candidate') return version;
  throw new HoneError(
    'VERSION_NOT_SERVABLE',
    `version ${version.number} is ${version.state}; only a candidate can be judged`,
  );
}
