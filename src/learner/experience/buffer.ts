/**
 * What the learner holds of the store: finished completions that were judged, by prompt, and compared pairs.
 *
 * A new process rebuilds it from the first change of the store; its checkpoint knows how often each completion was used.
 * `ChangeReader` finds out what to look at, `Members` and `Pairs` keep what may train, `RoundLedger` counts what rounds
 * have used.
 */

import type { Generation, Preference, ReplayReader, Score } from '../../replay/index.js';
import {
  defaultRewardSettings,
  type Fold,
  foldPreferences,
  foldReward,
  type RewardSettings,
} from '../../reward/index.js';
import { ChangeReader, pageSize } from './change-reader.js';
import { isStale, type TrainingRules, trainingObstacles } from './eligibility.js';
import { idsOf, pairKey } from './entries.js';
import { completionOf, type Group, type Member, Members, type RestoredEntries } from './members.js';
import { Pairs } from './pairs.js';
import { PendingRewards } from './pending-rewards.js';
import { type LedgerState, RoundLedger } from './round-ledger.js';

export interface BufferOptions extends TrainingRules, LedgerState {
  /** Most entries (generations in their groups and pairs) held; those with the oldest feedback leave first. Default 65536. */
  readonly maxEntries?: number;
  /** How scores become rewards. Default: all metrics and raters count alike, scores go from 0 to 1. */
  readonly reward?: RewardSettings;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
  /** What an earlier process knew of entries, from a checkpoint. */
  readonly restored?: Partial<RestoredEntries>;
  /** Generations whose reward waited for a window to close, from a checkpoint. */
  readonly pending?: Iterable<string>;
}

/** What the store holds of some generations and pairs at one moment. */
interface Found {
  readonly generations: ReadonlyMap<string, Generation>;
  readonly scores: ReadonlyMap<string, readonly Score[]>;
  readonly preferences: ReadonlyMap<string, readonly Preference[]>;
}

export class ExperienceBuffer {
  readonly #options: BufferOptions;
  readonly #reward: RewardSettings;
  /** Whether some metric has a default: a generation without scores may then have a reward. */
  readonly #hasDefaults: boolean;
  readonly #now: () => number;
  readonly #changes = new ChangeReader();
  readonly #members: Members;
  readonly #pairs: Pairs;
  readonly ledger: RoundLedger;
  readonly pending: PendingRewards;

  constructor(options: BufferOptions) {
    this.#options = options;
    this.#reward = options.reward ?? defaultRewardSettings;
    this.#hasDefaults = Object.values(this.#reward.metrics).some((metric) => metric.default !== null);
    this.#now = options.now ?? Date.now;
    this.#members = new Members(options.restored);
    this.#pairs = new Pairs(this.#members);
    this.ledger = new RoundLedger(this.#members, options);
    this.pending = new PendingRewards(options.pending);
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#members.groups;
  }

  /** Entries by their ids, the one with the oldest feedback first. */
  get entries(): ReadonlyMap<string, Member> {
    return this.#members.entries;
  }

  /** Entries held. */
  get size(): number {
    return this.#members.size;
  }

  /** As {@link ChangeReader.sequence}. */
  get sequence(): number {
    return this.#changes.sequence;
  }

  /** As {@link ChangeReader.scoresSeen}. */
  get scoresSeen(): number {
    return this.#changes.scoresSeen;
  }

  /** As {@link ChangeReader.removals}. */
  get removals(): number {
    return this.#changes.removals;
  }

  /** Starts a round. Returns how many completions were fresh. */
  beginRound(): number {
    return this.ledger.begin(this.#changes.sequence);
  }

  /**
   * Reads the changes since the last call, and the rewards that have become due.
   * @param maxPages most pages to read; the rest waits for the next call. Default: all
   * @returns whether more changes may follow
   */
  sync(reader: ReplayReader, liveVersion: number, maxPages = Number.POSITIVE_INFINITY): boolean {
    for (let page = 0; page < maxPages; page++) {
      const { generations, pairs, hasRemovals, hasMore } = this.#changes.readPage(reader);
      if (hasRemovals) this.#forgetMissing(reader);
      if (generations.size > 0) this.#refresh(reader, generations, pairs, liveVersion);
      if (!hasMore) {
        this.#refreshDue(reader, liveVersion);
        return false;
      }
    }
    return true;
  }

  /** Forgets what is too old to train beside this live version. */
  forgetStale(liveVersion: number): void {
    const stale = [...this.#members.entries].filter(([, { version }]) => isStale(version, liveVersion, this.#options));
    for (const [id] of stale) this.#removeEntry(id);
  }

  /** How often each entry was used, for the checkpoint; unused ones are left out. */
  uses(): Map<string, number> {
    return this.#members.uses();
  }

  /** ln pi_ref of each entry under the reference with this digest, if it was computed; for the checkpoint. */
  references(digest: string): Map<string, number> {
    return this.#members.references(digest);
  }

  #refreshDue(reader: ReplayReader, liveVersion: number): void {
    const due = this.pending.dueAt(this.#now());
    for (let from = 0; from < due.length; from += pageSize) {
      const ids = new Map(due.slice(from, from + pageSize).map((id) => [id, this.#changes.sequence]));
      this.#refresh(reader, ids, new Map(), liveVersion, true);
    }
  }

  /**
   * Takes over what the store holds of some generations and pairs.
   * @param changed the sequence number of the last change of each generation
   * @param compared the same of each pair
   * @param isDue whether a window has closed: their rewards are news, though no change is
   */
  #refresh(
    reader: ReplayReader,
    changed: ReadonlyMap<string, number>,
    compared: ReadonlyMap<string, number>,
    liveVersion: number,
    isDue = false,
  ): void {
    const ids = [...changed.keys()];
    const scores = groupBy(reader.readScores(ids), ({ generationId }) => generationId);
    const preferences = groupBy(reader.readPreferences(ids), (p) => pairKey(p.generationId, p.otherId));
    const pairs = new Map(compared);
    // A generation that has ended only now may be in pairs that were compared before.
    for (const [key, told] of preferences) {
      if (!pairs.has(key)) pairs.set(key, Math.max(...told.map((preference) => preference.sequence)));
    }
    const needed = new Set(this.#hasDefaults ? ids : scores.keys());
    for (const key of pairs.keys()) for (const id of idsOf(key)) needed.add(id);
    const generations = new Map(reader.readGenerations([...needed]).map((g) => [g.id, g]));
    const found = { generations, scores, preferences };
    for (const [id, sequence] of changed) this.#refreshScores(id, sequence, found, liveVersion, isDue);
    for (const [key, sequence] of pairs) this.#refreshPair(key, sequence, found, liveVersion);
    for (const id of this.#members.entries.keys()) {
      if (this.size <= (this.#options.maxEntries ?? 65536)) break;
      this.#removeEntry(id);
    }
  }

  #refreshScores(id: string, sequence: number, found: Found, liveVersion: number, isDue: boolean): void {
    const scores = found.scores.get(id) ?? [];
    const generation = found.generations.get(id);
    const fold = generation === undefined ? null : this.#fold(generation, scores);
    const hasClosed = this.pending.note(id, generation?.state === 'finished' ? (fold?.pendingUntilMs ?? null) : null);
    const reward = fold?.reward ?? null;
    if (generation === undefined || reward === null || !this.#mayTrain(generation, liveVersion)) {
      this.#members.remove(id);
      return;
    }
    const newest = Math.max(sequence, ...scores.map((score) => score.sequence));
    const isNews = this.#members.put({
      id,
      groupKey: generation.groupKey,
      kind: 'scores',
      reward,
      sequence: newest,
      ...completionOf(generation),
    });
    if (isNews && (isDue || hasClosed || newest > this.ledger.since)) this.ledger.add();
  }

  #refreshPair(key: string, sequence: number, found: Found, liveVersion: number): void {
    const [first, second] = idsOf(key).map((id) => found.generations.get(id));
    const strength = foldPreferences(found.preferences.get(key) ?? [], this.#reward);
    const isUsable =
      first !== undefined &&
      second !== undefined &&
      strength !== null &&
      this.#mayTrain(first, liveVersion) &&
      this.#mayTrain(second, liveVersion) &&
      first.tokens.join() !== second.tokens.join();
    if (!isUsable) {
      this.#pairs.remove(key);
      return;
    }
    const news = this.#pairs.put(key, [first, second], strength, sequence);
    if (sequence > this.ledger.since) this.ledger.add(news);
  }

  #removeEntry(id: string): void {
    const group = this.#members.entries.get(id)?.group;
    if (group?.kind === 'preference') this.#pairs.remove(group.key);
    else this.#members.remove(id);
  }

  #forgetMissing(reader: ReplayReader): void {
    const scored = [...this.#members.entries].flatMap(([id, { group }]) => (group.kind === 'scores' ? [id] : []));
    const held = [...new Set([...scored, ...this.#pairs.generationIds(), ...this.pending.ids()])];
    const there = new Set(reader.existing(held));
    for (const id of held) {
      if (there.has(id)) continue;
      this.#members.remove(id);
      this.pending.forget(id);
      this.#pairs.removeAllOf(id);
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

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
