/**
 * What the learner holds of the store: finished completions that were judged, by prompt, and compared pairs.
 *
 * A new process rebuilds it from the first change of the store; its checkpoint knows how often each completion was used.
 * `ChangeReader` finds out what to look at, `Members` and `Pairs` keep what may train, `RoundLedger` counts what rounds
 * have used.
 */

import type { Preference, ReplayReader, Score } from '../../replay/index.js';
import {
  defaultRewardSettings,
  type Fold,
  foldPreferences,
  foldReward,
  type RewardSettings,
} from '../../reward/index.js';
import type { SetAside } from '../quarantine/set-aside.js';
import { ChangeReader, pageSize } from './change-reader.js';
import { isStale, type TrainingRules } from './eligibility.js';
import { idsOf, pairKey } from './entries.js';
import { type Example, exampleOf } from './example.js';
import { type Group, type Member, Members, type RestoredEntries } from './members.js';
import { Pairs } from './pairs.js';
import { PendingRewards } from './pending-rewards.js';
import { type LedgerState, RoundLedger } from './round-ledger.js';

export interface BufferOptions extends TrainingRules, LedgerState {
  /** Most entries (generations in their groups and pairs) held; those with the oldest feedback leave first. Default 65536. */
  readonly maxEntries?: number;
  /** Most bytes that they may take, estimated; the same leave first. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Gets what a generation shows that the learner cannot learn from. Default: it is left out all the same. */
  readonly setAside?: Pick<SetAside, 'hasBroken' | 'found'>;
  /** Whether a pass over one completion of a prompt keeps to the learner's memory. Default: it does. */
  readonly holds?: (promptTokens: number, completionTokens: number) => boolean;
  /** How scores become rewards. Default: all metrics and raters count alike, scores go from 0 to 1. */
  readonly reward?: RewardSettings;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
  /** What an earlier process knew of entries, from a checkpoint. */
  readonly restored?: Partial<RestoredEntries>;
  /** Generations whose reward waited for a window to close, from a checkpoint. */
  readonly pending?: Iterable<string>;
}

/** Generations that are read whole at once. */
const generationsAtOnce = 16;

/** What the store holds of some generations and pairs at one moment. */
interface Found {
  readonly generations: ReadonlyMap<string, Example>;
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
      if (!pairs.has(key))
        pairs.set(
          key,
          told.reduce((last, preference) => Math.max(last, preference.sequence), 0),
        );
    }
    const needed = new Set(this.#hasDefaults ? ids : scores.keys());
    for (const key of pairs.keys()) for (const id of idsOf(key)) needed.add(id);
    const generations = this.#readExamples(reader, [...needed], liveVersion);
    const found = { generations, scores, preferences };
    for (const [id, sequence] of changed) this.#refreshScores(id, sequence, found, isDue);
    for (const [key, sequence] of pairs) this.#refreshPair(key, sequence, found);
    const { maxEntries = 65536, maxBytes = 256 * 1024 * 1024 } = this.#options;
    for (const id of this.#members.entries.keys()) {
      if (this.size <= maxEntries && this.#members.bytes <= maxBytes) break;
      this.#removeEntry(id);
    }
  }

  /** Reads a few at a time: a generation with texts and log-probabilities may take megabytes, and few of them are kept. */
  #readExamples(reader: ReplayReader, ids: readonly string[], liveVersion: number): Map<string, Example> {
    const examples = new Map<string, Example>();
    for (let from = 0; from < ids.length; from += generationsAtOnce) {
      for (const generation of reader.readGenerations(ids.slice(from, from + generationsAtOnce))) {
        examples.set(generation.id, exampleOf(generation, this.#options, liveVersion));
      }
    }
    return examples;
  }

  #refreshScores(id: string, sequence: number, found: Found, isDue: boolean): void {
    const scores = found.scores.get(id) ?? [];
    const generation = found.generations.get(id);
    const fold = generation === undefined ? null : this.#fold(generation, scores);
    const hasClosed = this.pending.note(id, generation?.state === 'finished' ? (fold?.pendingUntilMs ?? null) : null);
    const reward = fold?.reward ?? null;
    if (generation === undefined || reward === null || !this.#mayTrain(generation, sequence)) {
      this.#members.remove(id);
      return;
    }
    const newest = scores.reduce((last, score) => Math.max(last, score.sequence), sequence);
    const isNews = this.#members.put({
      id,
      groupKey: generation.groupKey,
      kind: 'scores',
      reward,
      sequence: newest,
      ...generation.completion,
    });
    if (isNews && (isDue || hasClosed || newest > this.ledger.since)) this.ledger.add();
  }

  #refreshPair(key: string, sequence: number, found: Found): void {
    const [first, second] = idsOf(key).map((id) => found.generations.get(id));
    const strength = foldPreferences(found.preferences.get(key) ?? [], this.#reward);
    const isUsable =
      first !== undefined &&
      second !== undefined &&
      strength !== null &&
      [first, second].every((side) => this.#mayTrain(side, sequence)) &&
      first.completion.completionTokens.join() !== second.completion.completionTokens.join();
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

  #fold({ finishedAtMs, origin }: Example, scores: readonly Score[]): Fold {
    const context = { finishedAtMs, nowMs: this.#now(), shown: origin === 'sampled' };
    return foldReward(scores, context, this.#reward);
  }

  /**
   * Whether a generation with feedback trains. One that the learner cannot learn from is set aside.
   * @param sequence of the change that it is looked at for
   */
  #mayTrain({ id, obstacles, misfit, completion }: Example, sequence: number): boolean {
    const { setAside, holds } = this.#options;
    if (obstacles.some((obstacle) => obstacle !== 'unfit')) return false;
    const [prompt, tokens] = [completion.promptTokens.length, completion.completionTokens.length];
    if (misfit !== null) {
      setAside?.found(id, { cause: 'unfit', reason: `${misfit.field}: ${misfit.description}` }, sequence);
    } else if (holds?.(prompt, tokens) === false) {
      const reason = `a pass over its ${prompt} prompt and ${tokens} completion tokens exceeds the memory of the learner: raise --learner-memory`;
      setAside?.found(id, { cause: 'too_large', reason }, sequence);
    } else {
      setAside?.found(id, null, sequence);
      return setAside?.hasBroken(id) !== true;
    }
    return false;
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
