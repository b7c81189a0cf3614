/**
 * The product's own learner, run in the process of the study.
 *
 * A server reacts to the learner's events as they come. The study waits for them, so the same seed gives the same run.
 */

import {
  type LearnerEvent,
  type LearnerProgress,
  LearnerRunner,
  type LearnerSettings,
  type LearnerStart,
  openEngine,
  type TrainingEngine,
} from '../../src/learner/index.js';
import { nothingLearned } from '../../src/learner/process/status.js';
import type { Package } from '../../src/package/index.js';
import type { ReplayReader } from '../../src/replay/index.js';

export type Candidate = Extract<LearnerEvent, { readonly type: 'candidate' }>;

export interface OnlineLearnerOptions {
  readonly settings: LearnerSettings;
  readonly reader: ReplayReader;
  /** The learner keeps its checkpoint and its candidates here. */
  readonly directory: string;
  /** Digest of the zero adapter, which is live at first. */
  readonly adapterDigest: string;
}

export class OnlineLearner {
  readonly #engine: TrainingEngine;
  readonly #reader: ReplayReader;
  readonly #scoresPerRound: number;
  readonly #runner: LearnerRunner;
  readonly #finished: Promise<void>;
  #progress: LearnerProgress = { ...nothingLearned, state: 'starting' };
  /** Offered and not asked for yet. */
  #candidate: Candidate | null = null;
  #heard: () => void = () => undefined;

  private constructor(pkg: Package, engine: TrainingEngine, options: OnlineLearnerOptions) {
    const { settings, reader, directory, adapterDigest } = options;
    this.#engine = engine;
    this.#reader = reader;
    this.#scoresPerRound = settings.scoresPerRound;
    const start: LearnerStart = {
      type: 'start',
      packageDirectory: pkg.directory,
      packageDigest: pkg.digest,
      decoder: pkg.config,
      replayPath: '',
      directory,
      settings,
      liveVersion: 0,
      adapterPath: null,
      adapterDigest,
      reportEveryMs: 0,
    };
    this.#runner = new LearnerRunner({ start, engine, reader, send: (event) => this.#hear(event) });
    this.#finished = this.#runner.run();
    // The next wait reports a failure.
    this.#finished.catch(() => undefined);
  }

  static async open(pkg: Package, options: OnlineLearnerOptions): Promise<OnlineLearner> {
    const engine = await openEngine({ packageDirectory: pkg.directory, settings: options.settings });
    return new OnlineLearner(pkg, engine, options);
  }

  get steps(): number {
    return this.#progress.steps;
  }

  /** Rounds that the guard ended. */
  get setbacks(): number {
    return this.#progress.setbacks;
  }

  /** KL to version 0 in the last round, nats per completion; null before the first. */
  get kl(): number | null {
    return this.#progress.kl;
  }

  /** Completions that the next round is short of. */
  get missing(): number {
    return Math.max(0, this.#scoresPerRound - this.#progress.buffer.fresh);
  }

  /**
   * Lets the learner read the store, and waits for the end of a round if one begins.
   * @returns what the round offers; null if there was none, or if it moved nothing or went out of bounds
   * @throws HoneError what ended the learner
   */
  async learn(): Promise<Candidate | null> {
    const sequence = this.#reader.lastSequence();
    this.#runner.handle({ type: 'changed' });
    while (!this.#isWaiting(sequence)) {
      const heard = new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
      await Promise.race([heard, this.#finished]);
    }
    const candidate = this.#candidate;
    this.#candidate = null;
    return candidate;
  }

  /** Makes a candidate the live version. */
  promote({ directory: adapterPath, adapterDigest }: Candidate, version: number): void {
    this.#runner.handle({ type: 'live', version, adapterPath, adapterDigest, rolledBack: false });
  }

  async close(): Promise<void> {
    this.#runner.handle({ type: 'stop' });
    // A learner that failed has said so where its candidate was waited for.
    await this.#finished.catch(() => undefined);
    await this.#engine.close();
  }

  #hear(event: LearnerEvent): void {
    if (event.type === 'progress') this.#progress = event.progress;
    if (event.type === 'candidate') this.#candidate = event;
    this.#heard();
  }

  /** Whether the learner has read the store up to there and no round is open. A candidate follows that report at once. */
  #isWaiting(sequence: number): boolean {
    const { state, lastSequence } = this.#progress;
    return (state === 'idle' || state === 'halted') && lastSequence >= sequence;
  }
}
