/**
 * A canary: who gets the candidate, and what their rewards say.
 *
 * A subject stays on one side for the whole canary; requests without a subject are drawn. Every stored generation of a
 * request that named no version takes part and counts once, with the reward that its scores fold into when it first has
 * one. What was generated before the canary, or before a restart of the server, takes no part. Who is late with a score is
 * waited for as long as the canary lasts.
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
  /** On trial. */
  readonly version: number;
  readonly settings: CanarySettings;
  readonly startedAtMs: number;
  /** Where it begins: at nothing, or where it stood before a restart. */
  readonly state: SequentialState;
  readonly readRewards: ReadRewards;
  /** Whether a generation may have a reward without a score. */
  readonly defaults: boolean;
  /** Keeps the state; called at most once at a time and once a second. */
  readonly save: (state: SequentialState) => Promise<void>;
  /** Called once: the rewards decide, or the time is over (`null`). */
  readonly onEnd: (decision: SequentialDecision) => void;
  readonly now: () => number;
  /** From [0, 1). */
  readonly draw: () => number;
}

/** How a canary stands. */
export interface CanaryStatus {
  readonly live: { readonly rewards: number; readonly meanReward: number | null };
  readonly candidate: { readonly rewards: number; readonly meanReward: number | null };
  /** ln of the evidence that the candidate is worse, and that it is not worse by more than the margin. */
  readonly worse: number;
  readonly notWorse: number;
  /** Either decides here. */
  readonly needed: number;
  readonly margin: number;
  readonly minimum: number;
  readonly endsAtMs: number;
}

/** A generation whose reward is waited for. */
interface AwaitedGeneration {
  readonly arm: Arm;
  /** `null` while it runs. */
  finishedAtMs: number | null;
  /** Whether a score came. */
  scored: boolean;
}

/** Generations whose reward is waited for; the oldest are given up beyond it. */
const maxAwaited = 100_000;
/** Generations whose scores are read at once. */
const readAtOnce = 256;
const saveEveryMs = 1000;
/** Longest delay that a timer takes. */
const longestTimerMs = 2 ** 31 - 1;

export class Canary {
  readonly version: number;
  readonly settings: CanarySettings;
  readonly startedAtMs: number;
  readonly #options: CanaryOptions;
  /** The generations that have not counted yet, oldest first. */
  readonly #awaited = new Map<string, AwaitedGeneration>();
  /** Of them, those to look at. */
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

  /** Answers that the candidate has begun. */
  get answers(): number {
    return this.#answers;
  }

  /** Which side a new request goes to. */
  route(subject: string): Arm {
    const place = subject === '' ? this.#options.draw() : placeOf(subject, this.version);
    return place < this.settings.share ? 'candidate' : 'live';
  }

  /** Generations have begun on a side and are on disk. */
  admitted(ids: readonly string[], arm: Arm): void {
    if (arm === 'candidate') this.#answers += ids.length;
    for (const id of ids) this.#awaited.set(id, { arm, finishedAtMs: null, scored: false });
    for (const id of this.#awaited.keys()) {
      if (this.#awaited.size <= maxAwaited) break;
      this.#awaited.delete(id);
    }
  }

  /** Generations are on disk, whole: their windows begin. */
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

  /** Generations have a new score. Those that still run count when they have ended. */
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

  /** Counts no more; resolves when nothing is on its way, with the state saved where it goes on after a restart. */
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
      // What came while the last batch was being counted.
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
        // A store that cannot be read now says so to whoever gives scores; what was to be counted waits for its next one.
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

  /** False where the canary ended before. */
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

  /** A state that cannot be written costs a restart the rewards since the last one that could. */
  async #saveNow(): Promise<void> {
    await delay(saveEveryMs, undefined, { signal: this.#ended.signal, ref: false }).catch(() => undefined);
    if (!this.#ended.signal.aborted) await this.#options.save(this.#state).catch(() => undefined);
  }
}

/** A subject's place in [0, 1): the same for the whole canary, another one in the next. */
export function placeOf(subject: string, version: number): number {
  const digest = createHash('sha256').update(`${version} ${subject}`).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
