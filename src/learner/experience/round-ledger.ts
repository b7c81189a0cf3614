/** What rounds have used: which feedback is fresh, and which uses were forgotten. */

import { generationsOf } from './entries.js';
import type { Members } from './members.js';

/** What a checkpoint keeps of it. */
export interface LedgerState {
  /** Feedback up to this sequence number counts as seen by an earlier round. Default 0. */
  readonly since?: number;
  /** Groups with feedback after this sequence number are the newest of the open round. Default 0. */
  readonly cutoff?: number;
  /** Entries that were given back once. */
  readonly givenBack?: Iterable<string>;
}

export class RoundLedger {
  readonly #members: Members;
  #since: number;
  #cutoff: number;
  #fresh = 0;
  readonly #givenBack: Set<string>;

  constructor(members: Members, { since = 0, cutoff = 0, givenBack }: LedgerState = {}) {
    this.#members = members;
    this.#since = since;
    this.#cutoff = cutoff;
    this.#givenBack = new Set(givenBack);
  }

  /** Completions judged since the last {@link begin}. One that is judged again counts again; a preference judges two. */
  get fresh(): number {
    return this.#fresh;
  }

  /** As {@link LedgerState.since}. */
  get since(): number {
    return this.#since;
  }

  /** As {@link LedgerState.cutoff}. */
  get cutoff(): number {
    return this.#cutoff;
  }

  /** Counts feedback as fresh. */
  add(count = 1): void {
    this.#fresh += count;
  }

  /**
   * Begins a round: what is fresh becomes its newest part.
   * @param sequence of the last change that was read
   * @returns how many completions were fresh
   */
  begin(sequence: number): number {
    const fresh = this.#fresh;
    this.#cutoff = this.#since;
    this.#since = sequence;
    this.#fresh = 0;
    return fresh;
  }

  /**
   * Makes all entries fresh and unused: everything may be learned from as if for the first time. All feedback counts as
   * unseen, so a process that goes on from a checkpoint counts the entries as fresh, too.
   */
  relearn(): void {
    for (const member of this.#members.entries.values()) member.uses = 0;
    this.#since = 0;
    this.#fresh = this.#members.size;
  }

  /** Forgets that these generations were used, because what was learned from them was given up. */
  unuse(generationIds: readonly string[]): void {
    for (const [, member] of this.#entriesOf(generationIds)) member.uses = 0;
  }

  /**
   * Forgets, once for each entry, that these generations were used, because their round went out of bounds. An entry that
   * is part of a second such round stays used.
   */
  giveBack(generationIds: readonly string[]): void {
    for (const [id, member] of this.#entriesOf(generationIds)) {
      if (this.#givenBack.has(id)) continue;
      member.uses = 0;
      this.#givenBack.add(id);
    }
  }

  /** The entries that may not be given back again, for the checkpoint. */
  givenBack(): string[] {
    return [...this.#givenBack].filter((id) => this.#members.entries.has(id));
  }

  #entriesOf(generationIds: readonly string[]) {
    const given = new Set(generationIds);
    return [...this.#members.entries].filter(([id]) => generationsOf(id).some((generation) => given.has(generation)));
  }
}
