/** The learner of an online loop: the parts of the learner process, without the process. */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ExperienceBuffer,
  type LearnerSettings,
  learnStep,
  openEngine,
  RoundMeter,
  type TrainingEngine,
  TrainingState,
} from '../../src/learner/index.js';
import type { Package } from '../../src/package/index.js';
import type { ReplayReader } from '../../src/replay/index.js';
import { type Adapter, readAdapter, writeAdapter } from '../../src/versions/index.js';

/** What a round leaves. */
export interface Trained {
  readonly adapter: Adapter;
  readonly adapterDigest: string;
}

export class OnlineLearner {
  readonly #pkg: Package;
  readonly #engine: TrainingEngine;
  readonly #settings: LearnerSettings;
  readonly #reader: ReplayReader;
  readonly #directory: string;
  readonly #trainee: TrainingState;
  readonly #buffer: ExperienceBuffer;
  readonly #meter = new RoundMeter();
  #steps = 0;
  #liveVersion = 0;

  private constructor(
    pkg: Package,
    engine: TrainingEngine,
    options: { readonly settings: LearnerSettings; readonly reader: ReplayReader; readonly directory: string },
  ) {
    const { settings, reader, directory } = options;
    this.#pkg = pkg;
    this.#engine = engine;
    this.#settings = settings;
    this.#reader = reader;
    this.#directory = directory;
    this.#trainee = new TrainingState(engine, settings);
    this.#buffer = new ExperienceBuffer({ packageDigest: pkg.digest, ...settings });
  }

  /** @param directory where candidates are written, as the learner process does */
  static async open(
    pkg: Package,
    options: { readonly settings: LearnerSettings; readonly reader: ReplayReader; readonly directory: string },
  ): Promise<OnlineLearner> {
    const engine = await openEngine({ packageDirectory: pkg.directory, settings: options.settings });
    const learner = new OnlineLearner(pkg, engine, options);
    await learner.#trainee.follow(0, null, '', false);
    return learner;
  }

  get steps(): number {
    return this.#steps;
  }

  /** KL to version 0 in the last round, nats per completion; null before the first. */
  get kl(): number | null {
    return this.#meter.figures().kl;
  }

  /** Reads what is new in the store. Returns how many completions are missing for a round; 0: a round is due. */
  missing(): number {
    this.#buffer.sync(this.#reader, this.#liveVersion);
    return Math.max(0, this.#settings.scoresPerRound - this.#buffer.ledger.fresh);
  }

  /** Learns for a round and goes on from what it learned, as if it had passed the gate. Null: no step moved anything. */
  async learn(): Promise<Trained | null> {
    let owed = this.#buffer.beginRound() * this.#settings.replayRatio;
    while (owed > 0) {
      const startedMs = performance.now();
      const { optimizer, baseline, parameters, reference } = this.#trainee;
      const parts = { engine: this.#engine, optimizer, baseline, parameters, reference };
      const report = await learnStep({ ...parts, buffer: this.#buffer, settings: this.#settings }, this.#steps);
      if (report === null) break;
      this.#steps += 1;
      owed -= report.rows;
      this.#meter.add(report, performance.now() - startedMs);
    }
    const moved = this.#meter.appliedSteps > 0;
    this.#meter.finishRound(this.#liveVersion);
    return moved ? this.#offer() : null;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  async #offer(): Promise<Trained> {
    const parent = this.#liveVersion;
    const directory = join(this.#directory, `${parent + 1}`);
    await mkdir(this.#directory, { recursive: true });
    const adapterDigest = await writeAdapter(directory, this.#trainee.adapter(), {
      packageDigest: this.#pkg.digest,
      baseModel: this.#pkg.name,
      parent,
      createdAtMs: 0,
      metrics: {},
    });
    this.#trainee.offered(adapterDigest);
    this.#liveVersion += 1;
    await this.#trainee.follow(this.#liveVersion, directory, adapterDigest, false);
    this.#buffer.forgetStale(this.#liveVersion);
    const { adapter } = await readAdapter(directory);
    await rm(directory, { recursive: true });
    return { adapter, adapterDigest };
  }
}
