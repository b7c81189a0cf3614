/**
 * What the learner knows of the store: judged, finished completions, followed change by change.
 *
 * It is rebuilt from the first change at every start; how often each completion was used comes from the checkpoint.
 * A change only says which generation to look at again: what counts is what the store holds now, so that a replacement,
 * a retraction and a score that came before its generation had finished are one case.
 */

import type { Generation, Preference, ReplayReader, Score } from '../../replay/index.js';
import {
  defaultRewardSettings,
  type Fold,
  foldPreferences,
  foldReward,
  type RewardSettings,
} from '../../reward/index.js';
import { isStale, type TrainingRules, trainingObstacles } from './eligibility.js';
import { entryOf, generationsOf, idsOf, pairKey } from './entries.js';
import { type Group, type Member, Members, type RestoredEntries } from './members.js';

export interface BufferOptions extends TrainingRules {
  /** Entries (generations in their groups and pairs) held at most; those with the oldest feedback go first. Default 65536. */
  readonly maxEntries?: number;
  /** How scores become rewards. Default: all metrics and raters alike, scores from 0 to 1. */
  readonly reward?: RewardSettings;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
  /** What an earlier process knew of entries, from a checkpoint. */
  readonly restored?: Partial<RestoredEntries>;
  /** Entries that were given back already, from a checkpoint. */
  readonly givenBack?: Iterable<string>;
  /** Generations whose reward waited for a window to close, from a checkpoint. */
  readonly pending?: Iterable<string>;
  /** Where the newest part of a round in flight begins, from a checkpoint. Default 0. */
  readonly cutoff?: number;
  /** Feedback up to this sequence number count as seen by an earlier round. Default 0. */
  readonly since?: number;
}

const pageSize = 512;

/** Everything about some generations at one moment of the store. */
interface Page {
  readonly generations: ReadonlyMap<string, Generation>;
  readonly scores: ReadonlyMap<string, readonly Score[]>;
}

export class ExperienceBuffer {
  readonly #options: BufferOptions;
  readonly #reward: RewardSettings;
  /** Whether a generation without scores may have a reward: a default one. */
  readonly #hasDefaults: boolean;
  readonly #now: () => number;
  readonly #members: Members;
  /** Pairs that each generation is in, by the generation. */
  readonly #pairsOf = new Map<string, Set<string>>();
  /** Generations whose reward waits for a window to close, and when that is. */
  readonly #pending = new Map<string, number>();
  /** Those that waited in an earlier process, and were not met yet: where time has decided since, that is news. */
  readonly #wasPending: Set<string>;
  #sequence = 0;
  #since: number;
  #cutoff: number;
  /** Entries that may not be given back again. */
  readonly #givenBack: Set<string>;
  #fresh = 0;
  #scoresSeen = 0;
  #removals = 0;

  constructor(options: BufferOptions) {
    this.#options = options;
    this.#reward = options.reward ?? defaultRewardSettings;
    this.#hasDefaults = Object.values(this.#reward.metrics).some((metric) => metric.default !== null);
    this.#now = options.now ?? Date.now;
    this.#members = new Members(options.restored);
    this.#givenBack = new Set(options.givenBack);
    this.#wasPending = new Set(options.pending);
    this.#cutoff = options.cutoff ?? 0;
    this.#since = options.since ?? 0;
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#members.groups;
  }

  /** Entries held, by their ids, the one with the oldest feedback first. */
  get entries(): ReadonlyMap<string, Member> {
    return this.#members.entries;
  }

  /** Entries held. */
  get size(): number {
    return this.#members.size;
  }

  /** The last change that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Scores and preferences read, replacements included. */
  get scoresSeen(): number {
    return this.#scoresSeen;
  }

  /** Completions judged (or judged anew) since the last {@link beginRound}; a preference judges two. */
  get fresh(): number {
    return this.#fresh;
  }

  /** Groups with feedback after this sequence number are the newest ones of the round. */
  get cutoff(): number {
    return this.#cutoff;
  }

  /** Where the next round's fresh feedback begins. */
  get since(): number {
    return this.#since;
  }

  /** Rewards that wait for a window to close. */
  get pending(): number {
    return this.#pending.size;
  }

  /** The generations, for the checkpoint. */
  pendingIds(): string[] {
    return [...this.#pending.keys()];
  }

  /** When the next of them closes, milliseconds since 1970; `null`: none waits. */
  get nextDueAtMs(): number | null {
    return this.#pending.size === 0 ? null : Math.min(...this.#pending.values());
  }

  /** Times that generations were removed from the store, as far as it was read. */
  get removals(): number {
    return this.#removals;
  }

  /** Starts a round: what was fresh becomes its newest part. Returns how many completions that is. */
  beginRound(): number {
    const fresh = this.#fresh;
    this.#cutoff = this.#since;
    this.#since = this.#sequence;
    this.#fresh = 0;
    return fresh;
  }

  /** Makes everything that is held fresh: it may be learned from as if for the first time. */
  relearn(): void {
    for (const member of this.#members.entries.values()) member.uses = 0;
    this.#fresh = this.#members.size;
  }

  /**
   * Forgets once that these generations were used: a round that went out of bounds was given up. What is in a second such
   * round stays used.
   */
  giveBack(generationIds: readonly string[]): void {
    const given = new Set(generationIds);
    for (const [id, member] of this.#members.entries) {
      if (this.#givenBack.has(id) || !generationsOf(id).some((generation) => given.has(generation))) continue;
      member.uses = 0;
      this.#givenBack.add(id);
    }
  }

  /** Entries that may not be given back again, for the checkpoint. */
  givenBack(): string[] {
    return [...this.#givenBack].filter((id) => this.#members.entries.has(id));
  }

  /** Forgets that these generations were used: what was learned from them was given up. */
  unuse(generationIds: readonly string[]): void {
    const given = new Set(generationIds);
    for (const [id, member] of this.#members.entries) {
      if (generationsOf(id).some((generation) => given.has(generation))) member.uses = 0;
    }
  }

  /**
   * Reads the changes since the last call, a page at a time, and what has become due.
   * @param maxPages pages to read at most; the rest waits for the next call. Default: all
   * @returns whether there may be more
   */
  sync(reader: ReplayReader, liveVersion: number, maxPages = Number.POSITIVE_INFINITY): boolean {
    for (let page = 0; page < maxPages; page++) {
      const changes = reader.readSince(this.#sequence, pageSize);
      const ids = new Map<string, number>();
      const pairs = new Map<string, number>();
      for (const change of changes) {
        this.#sequence = change.sequence;
        if (change.type === 'removed') {
          this.#forgetMissing(reader);
          continue;
        }
        if (change.type === 'preference') {
          pairs.set(pairKey(change.generationId, change.otherId), change.sequence);
          // Its scores are as old as they were.
          ids.set(change.generationId, ids.get(change.generationId) ?? 0);
        } else {
          ids.set(change.generationId, change.sequence);
        }
        if (change.type === 'score' ? change.value !== null : change.type === 'preference' && change.outcome !== null) {
          this.#scoresSeen += 1;
        }
      }
      if (ids.size > 0) this.#look(reader, ids, pairs, liveVersion);
      if (changes.length < pageSize) {
        this.#lookAtDue(reader, liveVersion);
        return false;
      }
    }
    return true;
  }

  /** Forgets what has become too old to train. */
  forgetStale(liveVersion: number): void {
    const stale = [...this.#members.entries].filter(([, { version }]) => isStale(version, liveVersion, this.#options));
    for (const [id] of stale) this.#removeEntry(id);
  }

  /** How often each entry was used, for the checkpoint; unused ones are left out. */
  uses(): Map<string, number> {
    return this.#members.uses();
  }

  /** ln pi_ref of each entry, as far as it was computed, for the checkpoint. */
  references(digest: string): Map<string, number> {
    return this.#members.references(digest);
  }

  #lookAtDue(reader: ReplayReader, liveVersion: number): void {
    const now = this.#now();
    const due = [...this.#pending].filter(([, dueAtMs]) => dueAtMs <= now).map(([id]) => id);
    for (let from = 0; from < due.length; from += pageSize) {
      const ids = new Map(due.slice(from, from + pageSize).map((id) => [id, this.#sequence]));
      this.#look(reader, ids, new Map(), liveVersion, true);
    }
  }

  /**
   * @param changed the last change of each generation that may have changed
   * @param pairs the last change of each pair that was compared anew
   * @param due whether time, not a change, made them worth a look
   */
  #look(
    reader: ReplayReader,
    changed: ReadonlyMap<string, number>,
    pairs: Map<string, number>,
    liveVersion: number,
    due = false,
  ): void {
    const ids = [...changed.keys()];
    const scores = groupBy(reader.readScores(ids), ({ generationId }) => generationId);
    const preferences = groupBy(reader.readPreferences(ids), (p) => pairKey(p.generationId, p.otherId));
    // A generation that has ended only now may be in pairs that were told of before.
    for (const [key, told] of preferences) {
      if (!pairs.has(key)) pairs.set(key, Math.max(...told.map((preference) => preference.sequence)));
    }
    const needed = new Set(this.#hasDefaults ? ids : scores.keys());
    for (const key of pairs.keys()) for (const id of idsOf(key)) needed.add(id);
    const generations = new Map(reader.readGenerations([...needed]).map((g) => [g.id, g]));
    const page = { generations, scores };
    for (const [id, sequence] of changed) this.#lookAtScores(id, sequence, page, liveVersion, due);
    for (const [key, sequence] of pairs) {
      this.#lookAtPair(key, sequence, preferences.get(key) ?? [], generations, liveVersion);
    }
    for (const id of this.#members.entries.keys()) {
      if (this.size <= (this.#options.maxEntries ?? 65536)) break;
      this.#removeEntry(id);
    }
  }

  #lookAtScores(id: string, sequence: number, page: Page, liveVersion: number, due: boolean): void {
    const scores = page.scores.get(id) ?? [];
    const generation = page.generations.get(id);
    const fold = generation === undefined ? null : this.#fold(generation, scores);
    const dueAtMs = generation?.state === 'finished' ? fold?.pendingUntilMs : null;
    const decided = due || (this.#wasPending.delete(id) && typeof dueAtMs !== 'number');
    if (typeof dueAtMs === 'number') this.#pending.set(id, dueAtMs);
    else this.#pending.delete(id);
    const reward = fold?.reward ?? null;
    if (generation === undefined || reward === null || !this.#mayTrain(generation, liveVersion)) {
      this.#members.remove(id);
      return;
    }
    const newest = Math.max(sequence, ...scores.map((score) => score.sequence));
    const news = this.#members.put({
      id,
      groupKey: generation.groupKey,
      kind: 'scores',
      reward,
      sequence: newest,
      ...completionOf(generation),
    });
    if (news && (decided || newest > this.#since)) this.#fresh += 1;
  }

  /** A preferred completion is worth half a reward more than the other (IPO is CoPG with that reward). */
  #lookAtPair(
    key: string,
    sequence: number,
    preferences: readonly Preference[],
    generations: ReadonlyMap<string, Generation>,
    liveVersion: number,
  ): void {
    const [first, second] = idsOf(key).map((id) => generations.get(id));
    const strength = foldPreferences(preferences, this.#reward);
    const usable =
      first !== undefined &&
      second !== undefined &&
      strength !== null &&
      this.#mayTrain(first, liveVersion) &&
      this.#mayTrain(second, liveVersion) &&
      first.tokens.join() !== second.tokens.join();
    if (!usable) {
      this.#removePair(key);
      return;
    }
    for (const [side, generation] of [first, second].entries()) {
      const news = this.#members.put({
        id: entryOf(key, side),
        groupKey: key,
        kind: 'preference',
        // Never -0, which is no other reward than 0.
        reward: (side === 0 ? strength : 0 - strength) / 4,
        sequence,
        ...completionOf(generation),
      });
      if (news && sequence > this.#since) this.#fresh += 1;
      const pairs = this.#pairsOf.get(generation.id) ?? new Set();
      this.#pairsOf.set(generation.id, pairs.add(key));
    }
  }

  /** A pair is whole or gone. */
  #removeEntry(id: string): void {
    const group = this.#members.entries.get(id)?.group;
    if (group?.kind === 'preference') this.#removePair(group.key);
    else this.#members.remove(id);
  }

  #removePair(key: string): void {
    for (const side of [0, 1]) this.#members.remove(entryOf(key, side));
    for (const id of idsOf(key)) {
      const pairs = this.#pairsOf.get(id);
      pairs?.delete(key);
      if (pairs?.size === 0) this.#pairsOf.delete(id);
    }
  }

  #forgetMissing(reader: ReplayReader): void {
    this.#removals += 1;
    const scored = [...this.#members.entries].flatMap(([id, { group }]) => (group.kind === 'scores' ? [id] : []));
    const held = [...new Set([...scored, ...this.#pairsOf.keys(), ...this.#pending.keys()])];
    const there = new Set(reader.existing(held));
    for (const id of held) {
      if (there.has(id)) continue;
      this.#members.remove(id);
      this.#pending.delete(id);
      for (const key of this.#pairsOf.get(id) ?? []) this.#removePair(key);
    }
  }

  #fold({ finishedAtMs, origin }: Generation, scores: readonly Score[]): Fold {
    const context = { finishedAtMs, nowMs: this.#now(), shown: origin === 'sampled' };
    return foldReward(scores, context, this.#reward);
  }

  #mayTrain(generation: Generation, liveVersion: number): boolean {
    return trainingObstacles(generation, this.#options, liveVersion).length === 0;
  }
}

function completionOf({ promptTokens, tokens, version, adapterDigest, logprobs, origin, createdAtMs }: Generation) {
  const behaviourLogprob = origin === 'edit' ? null : logprobs.reduce((sum, value) => sum + value, 0);
  return { promptTokens, completionTokens: tokens, version, adapterDigest, behaviourLogprob, createdAtMs };
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
