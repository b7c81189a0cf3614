/**
 * Follows how much of the policy a judgement gets, and says so when it is too little.
 *
 * The gate's requests give way to those of callers. On a busy server a verdict that takes seconds on an idle one may
 * take minutes, and only the policy knows why: it counts the runs of the model that it made for background requests and
 * those that it made for others meanwhile. The counts are looked at in regular steps, so that the decision hangs on
 * counts and not on a clock.
 */

import type { BackgroundRuns, Policy } from '../policy/index.js';

/** A change of whether the judgement gets enough. */
export interface PaceChange {
  readonly to: 'starved' | 'recovered';
  /** Number of the candidate that is being judged. */
  readonly version: number;
  /** For people: how little, why, and what to do. */
  readonly message: string;
  readonly numbers: Readonly<Record<string, number>>;
}

export interface PaceStatus {
  /** Share of the runs of the model that the gate gets, 0 to 1; null until it is known. */
  readonly share: number | null;
  /** How little it gets, and what to do; null if it gets enough. */
  readonly starvedBecause: string | null;
}

export interface GatePaceOptions {
  readonly policy: Pick<Policy, 'status'>;
  /** Milliseconds between two looks. Default 1000; `null`: the caller looks. */
  readonly lookEveryMs?: number | null;
}

const usualLookEveryMs = 1000;
/** Looks that the share is taken over. A judgement on an idle server ends before there are so many. */
const looksKept = 20;
/** A judgement that gets less takes more than five times as long as on an idle server. */
const starvedBelow = 0.2;
const recoveredFrom = 0.4;

/** What happened between two looks, in runs of the model. */
interface Span {
  /** Runs for the gate, without those whose results were thrown away. */
  readonly kept: number;
  readonly all: number;
}

export class GatePace {
  readonly #options: GatePaceOptions;
  #onChange: (change: PaceChange) => void = () => undefined;
  #version: number | null = null;
  #spans: Span[] = [];
  #last: BackgroundRuns | null = null;
  #starves = false;
  #completed = 0;
  #gaveWay = 0;

  constructor(options: GatePaceOptions) {
    this.#options = options;
  }

  get status(): PaceStatus {
    return { share: this.#share(), starvedBecause: this.#starves ? this.#words() : null };
  }

  /** @param listener called on the event loop; must not throw */
  onChange(listener: (change: PaceChange) => void): void {
    this.#onChange = listener;
  }

  /** Follows a judgement until the returned function is called. Judgements come one after the other. */
  follow(version: number): () => void {
    this.#forget();
    this.#version = version;
    const { lookEveryMs = usualLookEveryMs } = this.#options;
    const timer = lookEveryMs === null ? undefined : setInterval(() => void this.look(), lookEveryMs).unref();
    return () => {
      clearInterval(timer);
      if (this.#starves) this.#change(false);
      this.#forget();
    };
  }

  /** Completions were drawn, or computed, to their end. */
  completed(count: number): void {
    this.#completed += count;
  }

  /** A request of the gate was ended for another one, and starts again. */
  gaveWay(): void {
    this.#gaveWay += 1;
  }

  /** Reads the counts of the policy. */
  async look(): Promise<void> {
    const version = this.#version;
    const { backgroundRuns } = await this.#options.policy.status();
    if (version === null || this.#version !== version) return;
    const last = this.#last;
    this.#last = backgroundRuns;
    // A worker that was started again counts from 0.
    if (last === null || backgroundRuns.own < last.own || backgroundRuns.others < last.others) return;
    const own = backgroundRuns.own - last.own;
    const all = own + backgroundRuns.others - last.others;
    // While the gate computes rewards, or reads the store, it wants nothing from the policy.
    if (all > 0) this.#add({ kept: own - (backgroundRuns.lost - last.lost), all });
  }

  #add(span: Span): void {
    this.#spans.push(span);
    if (this.#spans.length > looksKept) this.#spans.shift();
    const share = this.#share();
    if (share === null) return;
    if (this.#starves ? share >= recoveredFrom : share < starvedBelow) this.#change(!this.#starves);
  }

  #change(starves: boolean): void {
    this.#starves = starves;
    const share = this.#share();
    this.#onChange({
      to: starves ? 'starved' : 'recovered',
      version: this.#version as number,
      message: starves ? this.#words() : this.#progress(),
      numbers: {
        ...(share === null ? {} : { model_share: share }),
        completions: this.#completed,
        gave_way: this.#gaveWay,
      },
    });
  }

  /** Null until there are enough looks. */
  #share(): number | null {
    if (this.#spans.length < looksKept) return null;
    const sum = (name: keyof Span): number => this.#spans.reduce((total, span) => total + span[name], 0);
    return Math.max(0, sum('kept')) / sum('all');
  }

  #progress(): string {
    return `${this.#completed} completions so far, and its requests gave way ${this.#gaveWay} times`;
  }

  #words(): string {
    const percent = Math.round((this.#share() ?? 0) * 100);
    return `the gate gets ${percent} % of the model's runs, because callers go first; send fewer requests until the verdict, or let it draw less (--gate-settings: prompts, maxTokens); ${this.#progress()}`;
  }

  #forget(): void {
    this.#version = null;
    this.#spans = [];
    this.#last = null;
    this.#starves = false;
    this.#completed = 0;
    this.#gaveWay = 0;
  }
}
