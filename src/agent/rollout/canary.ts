/**
 * A canary: sends a share of requests to the candidate, and compares the rewards of both sides.
 *
 * A subject stays on one side for the whole canary. Requests without a subject are drawn. Every stored generation of a
 * request that named no version takes part. It counts once, with the first reward that its scores fold into.
 * Generations from before the canary, or from before a restart of the server, take no part. Late scores count until the
 * canary ends.
 */

import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Arm,
  decide,
  evidence,
  observe,
  type SequentialDecision,
  type SequentialState,
} from '../../gate/index.js';
import type { ReadReward, ReadRewards } from '../feedback/read-rewards.js';
import type { CanarySettings } from './canary-settings.js';

export interface CanaryOptions {
  /** Number of the version on trial. */
  readonly version: number;
  readonly settings: CanarySettings;
  readonly startedAtMs: number;
  /** State to begin with: nothing observed, or the state before a restart. */
  readonly state: SequentialState;
  readonly readRewards: ReadRewards;
  /** Whether a generation may have a reward without a score. */
  readonly defaults: boolean;
  /** Stores the state. Called at most once a second, and never while a call is in flight. */
  readonly save: (state: SequentialState) => Promise<void>;
  /** Called once, when the rewards decide or the time is over (`null`). */
  readonly onEnd: (decision: SequentialDecision) => void;
  readonly now: () => number;
  /** From [0, 1). */
  readonly draw: () => number;
}

/** What a canary has counted so far. */
export interface CanaryStatus {
  readonly live: { readonly rewards: number; readonly meanReward: number | null };
  readonly candidate: { readonly rewards: number; readonly meanReward: number | null };
  /** ln of the evidence that the candidate is worse; `notWorse`: that it is not worse by more than the margin. */
  readonly worse: number;
  readonly notWorse: number;
  /** The canary ends when either reaches this value. */
  readonly needed: number;
  readonly margin: number;
  readonly minimum: number;
  readonly endsAtMs: number;
}

/** A generation that has no reward yet. */
interface AwaitedGeneration {
  readonly arm: Arm;
  /** `null` while it runs. */
  finishedAtMs: number | null;
  /** Whether it has a score. */
  scored: boolean;
}

/** Most generations that may be without a reward. Beyond it the oldest are dropped. */
const maxAwaited = 100_000;
/** Most generations whose scores are read at once. */
const readAtOnce = 256;
const saveEveryMs = 1000;
/** Longest delay that a timer takes. */
const longestTimerMs = 2 ** 31 - 1;

export class Canary {
  readonly version: number;
  readonly settings: CanarySettings;
  readonly startedAtMs: number;
  readonly #options: CanaryOptions;
  /** Generations that have not counted yet, oldest first. */
  readonly #awaited = new Map<string, AwaitedGeneration>();
  /** Those of them whose reward has to be read. */
  readonly #scored = new Set<string>();
  readonly #ended = new AbortController();
  #state: SequentialState;
  #answers = 0;
  #counting: Promise<void> | undefined;
  #saving: Promise<void> | undefined;

  constructor(options: CanaryOptions) {
    this.#options = options;
    this.version = options.version;
    this.settings = options.settings;
    this.startedAtMs = options.startedAtMs;
    this.#state = options.state;
    void this.#waitForTheEnd();
  }

  /** Number of answers that the candidate has begun. */
  get answers(): number {
    return this.#answers;
  }

  /** The side that answers a new request. */
  route(subject: string): Arm {
    const place = subject === '' ? this.#options.draw() : placeOf(subject, this.version);
    return place < this.settings.share ? 'candidate' : 'live';
  }

  /** Call when generations of a side have begun and are on disk. */
  admitted(ids: readonly string[], arm: Arm): void {
    if (arm === 'candidate') this.#answers += ids.length;
    for (const id of ids) this.#awaited.set(id, { arm, finishedAtMs: null, scored: false });
    for (const id of this.#awaited.keys()) {
      if (this.#awaited.size <= maxAwaited) break;
      this.#awaited.delete(id);
    }
  }

  /** Call when generations have ended and are on disk. The windows of their metrics begin. */
  recorded(ids: readonly string[]): void {
    const { defaults, now } = this.#options;
    for (const id of ids) {
      const one = this.#awaited.get(id);
      if (one === undefined) continue;
      one.finishedAtMs = now();
      if (one.scored || defaults) this.#scored.add(id);
    }
    this.#startCounting();
  }

  /** Call when generations have a new score. Those that still run count when they have ended. */
  scored(ids: readonly string[]): void {
    for (const id of ids) {
      const one = this.#awaited.get(id);
      if (one === undefined) continue;
      one.scored = true;
      if (one.finishedAtMs !== null) this.#scored.add(id);
    }
    this.#startCounting();
  }

  status(): CanaryStatus {
    const { live, candidate } = this.#state;
    const side = ({ count, sum }: SequentialState['live']) => ({
      rewards: count,
      meanReward: count === 0 ? null : sum / count,
    });
    return {
      live: side(live),
      candidate: side(candidate),
      ...evidence(this.#state),
      needed: -Math.log(this.settings.alpha),
      margin: this.settings.margin,
      minimum: this.settings.minimum,
      endsAtMs: this.startedAtMs + this.settings.maxDurationMs,
    };
  }

  /** Stops counting. When it resolves, nothing is in flight and the state is stored for a restart. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#counting;
    await this.#saving;
    await this.#options.save(this.#state).catch(() => undefined);
  }

  #startCounting(): void {
    if (this.#scored.size === 0 || this.#ended.signal.aborted) return;
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined;
      // Scores may have come while the last batch was being counted.
      this.#startCounting();
    });
  }

  async #count(): Promise<void> {
    while (this.#scored.size > 0 && !this.#ended.signal.aborted) {
      const ids = [...this.#scored].slice(0, readAtOnce);
      for (const id of ids) this.#scored.delete(id);
      const asked = ids.map((id) => ({ id, finishedAtMs: this.#awaited.get(id)?.finishedAtMs ?? null }));
      try {
        for (const reward of await this.#options.readRewards(asked)) this.#take(reward);
      } catch {
        // The store cannot be read now, which callers who give scores see. These generations count at their next score.
      }
      this.#save();
    }
  }

  #take({ id, reward, pendingUntilMs }: ReadReward): void {
    const one = this.#awaited.get(id);
    if (one === undefined || this.#ended.signal.aborted) return;
    if (reward === null) {
      if (pendingUntilMs !== null) void this.#lookAgain(id, pendingUntilMs);
      return;
    }
    this.#awaited.delete(id);
    this.#state = observe(this.#state, one.arm, reward, this.settings);
    const decision = decide(this.#state, this.settings);
    if (decision !== null) this.#end(decision);
  }

  async #lookAgain(id: string, atMs: number): Promise<void> {
    if (await this.#sleepUntil(atMs)) this.scored([id]);
  }

  async #waitForTheEnd(): Promise<void> {
    if (await this.#sleepUntil(this.startedAtMs + this.settings.maxDurationMs)) this.#end(null);
  }

  /** Resolves with false if the canary ends before. */
  async #sleepUntil(atMs: number): Promise<boolean> {
    const { signal } = this.#ended;
    try {
      for (let left = atMs - this.#options.now(); left > 0; left = atMs - this.#options.now()) {
        await delay(Math.min(left, longestTimerMs), undefined, { signal, ref: false });
      }
      return !signal.aborted;
    } catch {
      return false;
    }
  }

  #end(decision: SequentialDecision): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#options.onEnd(decision);
  }

  #save(): void {
    if (this.#ended.signal.aborted) return;
    this.#saving ??= this.#saveNow().finally(() => {
      this.#saving = undefined;
    });
  }

  /** If a state cannot be written, a restart loses the rewards since the last state that was. */
  async #saveNow(): Promise<void> {
    await delay(saveEveryMs, undefined, { signal: this.#ended.signal, ref: false }).catch(() => undefined);
    if (!this.#ended.signal.aborted) await this.#options.save(this.#state).catch(() => undefined);
  }
}

/** A subject's place in [0, 1). It is the same for the whole canary, and another one in the next. */
export function placeOf(subject: string, version: number): number {
  const digest = createHash('sha256').update(`${version} ${subject}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
