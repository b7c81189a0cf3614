/** Candidates on their way to the gate: one is judged at a time, and of those that wait only the newest stays. */

import { HoneError } from '../../errors.js';
import type { Verdict } from '../../gate/index.js';
import type { Version, VersionLog } from '../../versions/index.js';
import type { Judge } from './judge.js';

/** A candidate and what its maker reports of it, finite or not. */
export interface LinedUp {
  readonly version: Version;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface JudgingLineOptions {
  readonly versions: Pick<VersionLog, 'readAdapter' | 'live'>;
  readonly judge: Judge;
  /** Whether the next one may be judged now. */
  readonly isFree: () => boolean;
  /** Takes the verdict, or why there is none; the next one is judged once it resolves. Must not reject. */
  readonly onJudged: (version: Version, verdict: Verdict | HoneError) => Promise<void>;
  /** Nobody is judged, and nobody waits that could be. */
  readonly onFree: () => void;
}

export class JudgingLine {
  readonly #options: JudgingLineOptions;
  readonly #closing = new AbortController();
  #waiting: LinedUp | null = null;
  #judging: Version | null = null;
  #judgement: Promise<void> = Promise.resolve();

  constructor(options: JudgingLineOptions) {
    this.#options = options;
  }

  /** The candidate that waits. */
  get waiting(): Version | null {
    return this.#waiting?.version ?? null;
  }

  /** The candidate that is being judged. */
  get judging(): Version | null {
    return this.#judging;
  }

  /** Whether a version is waiting or being judged. */
  holds(number: number): boolean {
    return number === this.waiting?.number || number === this.#judging?.number;
  }

  /** Lets a candidate wait, in the place of the one that waited before. Call {@link JudgingLine.next} then. */
  put(candidate: LinedUp): void {
    this.#waiting = candidate;
  }

  /** Nobody waits any more. */
  clear(): void {
    this.#waiting = null;
  }

  /** Begins to judge whoever waits, where nothing is in the way. */
  next(): void {
    const next = this.#waiting;
    if (next === null || this.#judging !== null || !this.#options.isFree() || this.#closing.signal.aborted) return;
    this.#waiting = null;
    this.#judging = next.version;
    this.#judgement = this.#judge(next);
  }

  /** Breaks the judgement off; its candidate is found unjudged at the next start. */
  async close(): Promise<void> {
    this.#closing.abort(new HoneError('DRAINING', 'the server is stopping'));
    await this.#judgement;
  }

  async #judge({ version, metrics }: LinedUp): Promise<void> {
    const { versions, judge, onJudged } = this.#options;
    const { signal } = this.#closing;
    let verdict: Verdict | HoneError;
    try {
      const adapter = await versions.readAdapter(version.number);
      verdict = await judge({ version, adapter, metrics, live: versions.live().number }, signal);
    } catch (thrown) {
      verdict = HoneError.from(thrown);
    }
    if (signal.aborted) return;
    await onJudged(version, verdict);
    this.#judging = null;
    this.next();
    if (this.#judging === null) this.#options.onFree();
  }
}
