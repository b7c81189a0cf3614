/**
 * What the learner knows of the store: scored, finished completions by prompt, followed change by change.
 *
 * It is rebuilt from the first change at every start; how often each completion was used comes from the checkpoint.
 * A change only says which generation to look at again: what counts is what the store holds now, so that a replacement,
 * a retraction and a score that came before its generation had finished are one case.
 */

import type { Generation, ReplayReader, Score } from '../replay/types.js';
import { defaultRewardSettings, foldReward, type RewardSettings } from '../reward/index.js';
import { isStale, type TrainingRules, trainingObstacles } from './eligibility.js';

/** One distinct completion of a prompt; generations with the same tokens are one member. */
export interface Member {
  readonly group: Group;
  readonly completionTokens: Uint32Array;
  /** Reward by generation id. */
  readonly rewards: Map<string, number>;
  /** Mean of them. */
  reward: number;
  /** The newest version that generated it. */
  version: number;
  /** ln pi(y|x) of that version, at temperature 1, as it was recorded when it was generated. */
  behaviourLogprob: number;
  /** Times it was part of a step. */
  uses: number;
  /** ln pi_ref(y|x), computed when it is first needed; the reference does not move. */
  referenceLogprob: number | undefined;
}

/** All scored completions of one prompt. */
export interface Group {
  readonly key: string;
  readonly promptTokens: Uint32Array;
  /** By tokens. */
  readonly members: Map<string, Member>;
  /** Sequence number of the newest score in it. */
  sequence: number;
}

export interface BufferOptions extends TrainingRules {
  /** Generations held at most; the least recently scored go first. Default 65536. */
  readonly maxGenerations?: number;
  /** How scores become rewards. Default: all metrics and raters alike, scores from 0 to 1. */
  readonly reward?: RewardSettings;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
  /** Times each generation was used before, from a checkpoint. */
  readonly uses?: ReadonlyMap<string, number>;
  /** Scores up to this sequence number count as seen by an earlier round. Default 0. */
  readonly since?: number;
}

const pageSize = 512;

export class ExperienceBuffer {
  readonly #options: BufferOptions;
  readonly #reward: RewardSettings;
  /** Whether a generation without scores may have a reward: a default one. */
  readonly #hasDefaults: boolean;
  readonly #now: () => number;
  readonly #groups = new Map<string, Group>();
  /** Where each generation is; in the order of its last score. */
  readonly #memberOf = new Map<string, Member>();
  readonly #restoredUses: Map<string, number>;
  #sequence = 0;
  #since: number;
  #cutoff = 0;
  #fresh = 0;
  #scoresSeen = 0;

  constructor(options: BufferOptions) {
    this.#options = options;
    this.#reward = options.reward ?? defaultRewardSettings;
    this.#hasDefaults = Object.values(this.#reward.metrics).some((metric) => metric.default !== null);
    this.#now = options.now ?? Date.now;
    this.#restoredUses = new Map(options.uses);
    this.#since = options.since ?? 0;
  }

  get groups(): ReadonlyMap<string, Group> {
    return this.#groups;
  }

  /** Generations held. */
  get size(): number {
    return this.#memberOf.size;
  }

  /** The last change that was read. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Scores read, replacements included. */
  get scoresSeen(): number {
    return this.#scoresSeen;
  }

  /** Generations scored (or scored anew) since the last {@link beginRound}. */
  get fresh(): number {
    return this.#fresh;
  }

  /** Groups with a score after this sequence number are the newest ones of the round. */
  get cutoff(): number {
    return this.#cutoff;
  }

  /** Where the next round's fresh scores begin. */
  get since(): number {
    return this.#since;
  }

  /** Starts a round: what was fresh becomes its newest part. Returns how many generations that is. */
  beginRound(): number {
    const fresh = this.#fresh;
    this.#cutoff = this.#since;
    this.#since = this.#sequence;
    this.#fresh = 0;
    return fresh;
  }

  /**
   * Reads the changes since the last call, a page at a time.
   * @param maxPages pages to read at most; the rest waits for the next call. Default: all
   * @returns whether there may be more
   */
  sync(reader: ReplayReader, liveVersion: number, maxPages = Number.POSITIVE_INFINITY): boolean {
    for (let page = 0; page < maxPages; page++) {
      const changes = reader.readSince(this.#sequence, pageSize);
      if (changes.length === 0) return false;
      const ids = new Map<string, number>();
      for (const change of changes) {
        if (change.type === 'removed') {
          this.#forgetMissing(reader);
          continue;
        }
        ids.set(change.generationId, change.sequence);
        if (change.type === 'score' && change.value !== null) this.#scoresSeen += 1;
      }
      this.#look(reader, ids, liveVersion);
      this.#sequence = changes.at(-1)?.sequence ?? this.#sequence;
      if (changes.length < pageSize) return false;
    }
    return true;
  }

  /** Forgets what has become too old to train. */
  forgetStale(liveVersion: number): void {
    for (const [id, member] of this.#memberOf) {
      if (isStale(member.version, liveVersion, this.#options)) this.#remove(id);
    }
  }

  /** How often each generation was used, for the checkpoint; unused ones are left out. */
  uses(): Map<string, number> {
    const uses = new Map<string, number>();
    for (const [id, member] of this.#memberOf) if (member.uses > 0) uses.set(id, member.uses);
    return uses;
  }

  /** @param changed the last change of each generation that may have changed */
  #look(reader: ReplayReader, changed: ReadonlyMap<string, number>, liveVersion: number): void {
    const ids = [...changed.keys()];
    const scores = new Map<string, Score[]>();
    for (const score of reader.readScores(ids)) {
      const list = scores.get(score.generationId);
      if (list === undefined) scores.set(score.generationId, [score]);
      else list.push(score);
    }
    const withReward = this.#hasDefaults ? ids : [...scores.keys()];
    const generations = new Map(reader.readGenerations(withReward).map((g) => [g.id, g]));
    for (const [id, sequence] of changed) {
      const held = scores.get(id) ?? [];
      const generation = generations.get(id);
      const reward = generation === undefined ? null : this.#rewardOf(generation, held);
      if (
        generation === undefined ||
        reward === null ||
        trainingObstacles(generation, this.#options, liveVersion).length > 0
      ) {
        this.#remove(id);
        continue;
      }
      this.#put(generation, reward, Math.max(sequence, ...held.map((score) => score.sequence)));
    }
    for (const id of this.#memberOf.keys()) {
      if (this.size <= (this.#options.maxGenerations ?? 65536)) break;
      this.#remove(id);
    }
  }

  #forgetMissing(reader: ReplayReader): void {
    const held = [...this.#memberOf.keys()];
    const there = new Set(reader.existing(held));
    for (const id of held) if (!there.has(id)) this.#remove(id);
  }

  /** Null too while a metric is waited for. */
  #rewardOf({ finishedAtMs, origin }: Generation, scores: readonly Score[]): number | null {
    const context = { finishedAtMs, nowMs: this.#now(), shown: origin === 'sampled' };
    return foldReward(scores, context, this.#reward).reward;
  }

  #put(generation: Generation, reward: number, sequence: number): void {
    const before = this.#memberOf.get(generation.id);
    if (before?.rewards.get(generation.id) === reward) return;
    const group = this.#groupOf(generation);
    const member = before ?? this.#memberWith(group, generation);
    member.rewards.set(generation.id, reward);
    member.reward = mean(member.rewards.values());
    if (generation.version > member.version) {
      member.version = generation.version;
      member.behaviourLogprob = total(generation.logprobs);
    }
    // A score that changed is news: the completion may be used anew.
    if (before !== undefined) member.uses = 0;
    const restored = this.#restoredUses.get(generation.id);
    if (restored !== undefined) {
      member.uses = Math.max(member.uses, restored);
      this.#restoredUses.delete(generation.id);
    }
    group.sequence = Math.max(group.sequence, sequence);
    // Deleted first, so that it moves to the end of the order.
    this.#memberOf.delete(generation.id);
    this.#memberOf.set(generation.id, member);
    if (sequence > this.#since) this.#fresh += 1;
  }

  #groupOf(generation: Generation): Group {
    let group = this.#groups.get(generation.groupKey);
    if (group === undefined) {
      group = { key: generation.groupKey, promptTokens: generation.promptTokens, members: new Map(), sequence: 0 };
      this.#groups.set(group.key, group);
    }
    return group;
  }

  #memberWith(group: Group, { tokens, version, logprobs }: Generation): Member {
    const key = tokens.join();
    let member = group.members.get(key);
    if (member === undefined) {
      member = {
        group,
        completionTokens: tokens,
        rewards: new Map(),
        reward: 0,
        version,
        behaviourLogprob: total(logprobs),
        uses: 0,
        referenceLogprob: undefined,
      };
      group.members.set(key, member);
    }
    return member;
  }

  #remove(id: string): void {
    const member = this.#memberOf.get(id);
    if (member === undefined) return;
    this.#memberOf.delete(id);
    member.rewards.delete(id);
    if (member.rewards.size > 0) {
      member.reward = mean(member.rewards.values());
      return;
    }
    const { group } = member;
    group.members.delete(member.completionTokens.join());
    if (group.members.size === 0) this.#groups.delete(group.key);
  }
}

function total(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function mean(values: Iterable<number>): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    sum += value;
    count += 1;
  }
  return sum / count;
}
