/**
 * What a step can learn from: completions by prompt, each with its reward, and pairs of completions that were compared.
 * A pair is a group of its own; its two rewards only mean how the two differ.
 */

import type { Generation } from '../../replay/index.js';

/** One distinct completion of a group; entries with the same tokens are one member. */
export interface Member {
  readonly group: Group;
  readonly completionTokens: Uint32Array;
  /** Reward by entry. */
  readonly rewards: Map<string, number>;
  /** Mean of `rewards`. */
  reward: number;
  /** The newest version that generated it. */
  version: number;
  /** Digest of that version's adapter. Unlike its number, it means the same on every server. */
  adapterDigest: string;
  /** ln pi(y|x) of that version at temperature 1, recorded when it wrote the completion; null for a person's text. */
  behaviourLogprob: number | null;
  /** When the oldest of its generations was admitted, milliseconds since 1970. */
  createdAtMs: number;
  /** Number of steps that used it. */
  uses: number;
  /** ln pi_ref(y|x) and the digest of the reference; computed when it is first needed. */
  reference: { readonly digest: string; readonly logprob: number } | undefined;
}

/** All scored completions of one prompt, or the two of a comparison. */
export interface Group {
  readonly key: string;
  readonly kind: 'scores' | 'preference';
  readonly promptTokens: Uint32Array;
  /** By their tokens. */
  readonly members: Map<string, Member>;
  /** Sequence number of the newest feedback in it. */
  sequence: number;
}

/** One generation's part in a group. */
export interface Entry {
  /** Id of the entry. A generation may have several entries: one in a group of scores, and one in each of its pairs. */
  readonly id: string;
  readonly groupKey: string;
  readonly kind: Group['kind'];
  readonly promptTokens: Uint32Array;
  readonly completionTokens: Uint32Array;
  readonly reward: number;
  readonly version: number;
  readonly adapterDigest: string;
  readonly behaviourLogprob: number | null;
  readonly createdAtMs: number;
  readonly sequence: number;
}

/** What a checkpoint holds of entries, by their ids. */
export interface RestoredEntries {
  /** How often each was used. */
  readonly uses: ReadonlyMap<string, number>;
  /** The reference of `references`. */
  readonly referenceDigest: string;
  /** ln pi_ref(y|x) of each. */
  readonly references: ReadonlyMap<string, number>;
  /** The last change of the store that it covers. Later feedback makes its completion unused. */
  readonly upTo: number;
}

/** Bytes of an entry, of a member and of a group beside their tokens, estimated. */
const bytesOfObject = 300;
/** A completion's tokens, and the text of them that is its key. */
const bytesPerToken = 10;
const bytesPerPromptToken = 4;

/** Groups and their members, by the entries that they are made of. */
export class Members {
  readonly #groups = new Map<string, Group>();
  #bytes = 0;
  /** The member of each entry, in the order of the last feedback. */
  readonly #memberOf = new Map<string, Member>();
  readonly #restored: RestoredEntries & {
    readonly uses: Map<string, number>;
    readonly references: Map<string, number>;
  };

  /** @param restored what an earlier process knew of entries */
  constructor(restored: Partial<RestoredEntries> = {}) {
    const { uses = new Map(), references = new Map(), referenceDigest = '' } = restored;
    const { upTo = Number.POSITIVE_INFINITY } = restored;
    this.#restored = { uses: new Map(uses), references: new Map(references), referenceDigest, upTo };
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#groups;
  }

  /** Entries held. */
  get size(): number {
    return this.#memberOf.size;
  }

  /** Bytes that entries, members and groups take, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries with their members, the one with the oldest feedback first. */
  get entries(): ReadonlyMap<string, Member> {
    return this.#memberOf;
  }

  /** Puts an entry in, or replaces it. Returns whether its feedback is new or has changed. */
  put(entry: Entry): boolean {
    const before = this.#memberOf.get(entry.id);
    if (before?.rewards.get(entry.id) === entry.reward) return false;
    const member = before ?? this.#memberFor(entry);
    member.rewards.set(entry.id, entry.reward);
    member.reward = meanReward(member.rewards);
    member.createdAtMs = Math.min(member.createdAtMs, entry.createdAtMs);
    if (entry.version > member.version) {
      member.version = entry.version;
      member.adapterDigest = entry.adapterDigest;
      member.behaviourLogprob = entry.behaviourLogprob;
    }
    // The feedback has changed, so the completion may be used as often as a new one.
    if (before !== undefined) member.uses = 0;
    else this.#restore(entry, member);
    member.group.sequence = Math.max(member.group.sequence, entry.sequence);
    // Deleting it first moves it to the end of the order.
    if (!this.#memberOf.delete(entry.id)) this.#bytes += bytesOfObject;
    this.#memberOf.set(entry.id, member);
    return true;
  }

  remove(id: string): void {
    const member = this.#memberOf.get(id);
    if (member === undefined) return;
    this.#memberOf.delete(id);
    this.#bytes -= bytesOfObject;
    member.rewards.delete(id);
    if (member.rewards.size > 0) {
      member.reward = meanReward(member.rewards);
      return;
    }
    const { group } = member;
    group.members.delete(member.completionTokens.join());
    this.#bytes -= bytesOfMember(member);
    if (group.members.size > 0) return;
    this.#groups.delete(group.key);
    this.#bytes -= bytesOfGroup(group);
  }

  /** How often each entry was used; unused ones are left out. */
  uses(): Map<string, number> {
    const uses = new Map<string, number>();
    for (const [id, member] of this.#memberOf) if (member.uses > 0) uses.set(id, member.uses);
    return uses;
  }

  /** ln pi_ref of each entry under the reference with this digest, as far as it was computed. */
  references(digest: string): Map<string, number> {
    const references = new Map<string, number>();
    for (const [id, { reference }] of this.#memberOf) {
      if (reference?.digest === digest) references.set(id, reference.logprob);
    }
    return references;
  }

  #restore({ id, sequence }: Entry, member: Member): void {
    const { uses, references, referenceDigest: digest, upTo } = this.#restored;
    if (sequence <= upTo) member.uses = Math.max(member.uses, uses.get(id) ?? 0);
    const logprob = references.get(id);
    if (logprob !== undefined) member.reference ??= { digest, logprob };
    uses.delete(id);
    references.delete(id);
  }

  #memberFor(entry: Entry): Member {
    let group = this.#groups.get(entry.groupKey);
    if (group === undefined) {
      const { groupKey: key, kind, promptTokens } = entry;
      group = { key, kind, promptTokens, members: new Map(), sequence: 0 };
      this.#groups.set(key, group);
      this.#bytes += bytesOfGroup(group);
    }
    const tokens = entry.completionTokens.join();
    let member = group.members.get(tokens);
    if (member === undefined) {
      const { completionTokens, version, adapterDigest, behaviourLogprob, createdAtMs } = entry;
      const unused = { rewards: new Map<string, number>(), reward: 0, uses: 0, reference: undefined };
      member = { group, completionTokens, version, adapterDigest, behaviourLogprob, createdAtMs, ...unused };
      group.members.set(tokens, member);
      this.#bytes += bytesOfMember(member);
    }
    return member;
  }
}

function bytesOfGroup({ promptTokens }: Pick<Group, 'promptTokens'>): number {
  return bytesOfObject + bytesPerPromptToken * promptTokens.length;
}

function bytesOfMember({ completionTokens }: Pick<Member, 'completionTokens'>): number {
  return bytesOfObject + bytesPerToken * completionTokens.length;
}

/** The parts of an entry that its generation alone decides. */
export function completionOf({
  promptTokens,
  tokens,
  version,
  adapterDigest,
  logprobs,
  origin,
  createdAtMs,
}: Generation): Pick<
  Entry,
  'promptTokens' | 'completionTokens' | 'version' | 'adapterDigest' | 'behaviourLogprob' | 'createdAtMs'
> {
  const behaviourLogprob = origin === 'edit' ? null : logprobs.reduce((sum, value) => sum + value, 0);
  return { promptTokens, completionTokens: tokens, version, adapterDigest, behaviourLogprob, createdAtMs };
}

/** Summed in the order of ids, so the mean does not depend on the order in which entries were read. */
function meanReward(rewards: ReadonlyMap<string, number>): number {
  const ids = [...rewards.keys()].sort();
  return ids.reduce((sum, id) => sum + (rewards.get(id) ?? 0), 0) / ids.length;
}
