/**
 * The learner's life: wait for enough fresh scores, learn from them step by step, offer a candidate, again.
 *
 * A round begins with `scoresPerRound` fresh scores and lasts until it has used (fresh x replay ratio) completions, or
 * until every completion is used up. What it decides on is in the checkpoint, so that a learner that was killed goes on
 * in the middle of a round. Between steps it listens: a rollback ends the round at once.
 */

import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HoneError } from '../errors.js';
import type { ReplayReader } from '../replay/types.js';
import { finiteMetrics, writeAdapter } from '../versions/index.js';
import type { AdapterTarget } from '../versions/types.js';
import { ExperienceBuffer } from './buffer.js';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { learnStep } from './cycle.js';
import { RoundMeter } from './round-meter.js';
import { Trainee } from './trainee.js';
import type { LearnerCommand, LearnerEvent, LearnerStart, LearnerState, TrainingEngine } from './types.js';

export interface RunnerOptions {
  readonly start: LearnerStart;
  readonly engine: TrainingEngine & { readonly targets: readonly AdapterTarget[] };
  readonly reader: ReplayReader;
  readonly send: (event: LearnerEvent) => void;
  /** Milliseconds between checkpoints within a round. Default 5000. */
  readonly checkpointEveryMs?: number;
}

/** What changes the weights in training. */
type HeadCommand = Extract<LearnerCommand, { readonly type: 'live' | 'rejected' }>;

/** Pages of the store read at once before the learner listens again. */
const pagesPerTurn = 8;
const progressEveryMs = 250;

export class LearnerRunner {
  readonly #options: RunnerOptions;
  readonly #checkpointPath: string;
  readonly #candidates: string;
  readonly #trainee: Trainee;
  readonly #meter = new RoundMeter();
  #buffer: ExperienceBuffer;
  #heads: HeadCommand[] = [];
  #liveVersion: number;
  /** Of the live version. */
  #adapterPath: string | null;
  #owedRows = 0;
  #steps = 0;
  #droppedSteps = 0;
  #rounds = 0;
  #state: LearnerState = 'starting';
  #savedAtMs = 0;
  #reportedAtMs = 0;
  #stopping = false;
  #attention: () => void = () => undefined;

  constructor(options: RunnerOptions) {
    const { start, engine } = options;
    this.#options = options;
    this.#checkpointPath = join(start.directory, 'checkpoint.safetensors');
    this.#candidates = join(start.directory, 'candidates');
    this.#trainee = new Trainee(engine.targets, start.settings);
    this.#liveVersion = start.liveVersion;
    this.#adapterPath = start.adapterPath;
    this.#buffer = this.#newBuffer();
  }

  /** Takes a command; it takes effect after the step in flight. */
  handle(command: LearnerCommand): void {
    if (command.type === 'live' || command.type === 'rejected') this.#heads.push(command);
    if (command.type === 'stop') this.#stopping = true;
    this.#attention();
  }

  /** Learns until it is told to stop; then the checkpoint is on disk. */
  async run(): Promise<void> {
    await this.#open();
    // All that the store holds is known before the first report: figures of zero would look like a loss.
    while (!this.#stopping && this.#buffer.sync(this.#options.reader, this.#liveVersion, pagesPerTurn))
      await nextTurn();
    this.#options.send({ type: 'ready', pid: process.pid });
    this.#report('idle');
    while (!this.#stopping) {
      await this.#followHead();
      const more = this.#buffer.sync(this.#options.reader, this.#liveVersion, pagesPerTurn);
      if (!more) {
        if (this.#owedRows === 0 && this.#buffer.fresh >= this.#options.start.settings.scoresPerRound) {
          this.#owedRows = this.#buffer.beginRound() * this.#options.start.settings.replayRatio;
        }
        if (this.#owedRows > 0) await this.#learn();
        else await this.#somethingToDo();
      }
      // Lets commands in that arrived meanwhile.
      await nextTurn();
    }
    this.#report('stopping');
    await this.#followHead();
    await this.#save();
  }

  async #open(): Promise<void> {
    const { start, send } = this.#options;
    await mkdir(start.directory, { recursive: true, mode: 0o700 });
    await rm(this.#candidates, { recursive: true, force: true });
    let checkpoint: Checkpoint | undefined;
    try {
      checkpoint = (await readCheckpoint(this.#checkpointPath)) ?? undefined;
    } catch (thrown) {
      const { code, message } = HoneError.from(thrown);
      await rename(this.#checkpointPath, `${this.#checkpointPath}.damaged`);
      send({ type: 'failed', code, message: `${message}; it was put aside, training goes on from the live version` });
    }
    if (checkpoint?.state.packageDigest !== start.packageDigest) checkpoint = undefined;
    if (checkpoint !== undefined) {
      const { steps, droppedSteps, rounds, owedRows } = checkpoint.state;
      this.#steps = steps;
      this.#droppedSteps = droppedSteps;
      this.#rounds = rounds;
      this.#owedRows = owedRows;
      this.#buffer = this.#newBuffer(checkpoint);
    }
    const resumed = await this.#trainee.follow(
      start.liveVersion,
      start.adapterPath,
      start.rolledBack ?? false,
      checkpoint,
    );
    if (!resumed) this.#owedRows = 0;
    await this.#save();
  }

  async #followHead(): Promise<void> {
    for (let head = this.#heads.shift(); head !== undefined; head = this.#heads.shift()) {
      if (await this.#continues(head)) continue;
      this.#owedRows = 0;
      this.#meter.reset();
      await this.#save();
      this.#report('idle');
    }
  }

  /** Whether the weights in training are still the ones from before. */
  async #continues(command: HeadCommand): Promise<boolean> {
    if (command.type === 'rejected') {
      return !(await this.#trainee.rejected(command.adapterDigest, this.#adapterPath));
    }
    this.#liveVersion = command.version;
    this.#adapterPath = command.adapterPath;
    this.#buffer.forgetStale(command.version);
    return this.#trainee.follow(command.version, command.adapterPath, command.rolledBack);
  }

  async #learn(): Promise<void> {
    if (this.#state !== 'training') this.#report('training');
    const startedAtMs = performance.now();
    const { engine, start } = this.#options;
    const { optimizer, baseline, parameters, reference } = this.#trainee;
    const buffer = this.#buffer;
    const options = { engine, optimizer, buffer, baseline, parameters, reference, settings: start.settings };
    const report = await learnStep(options, this.#steps);
    if (report === null) return this.#finishRound();
    this.#steps += 1;
    if (!report.applied) this.#droppedSteps += 1;
    this.#owedRows = Math.max(0, this.#owedRows - report.rows);
    this.#meter.add(report, performance.now() - startedAtMs);
    if (this.#owedRows === 0) return this.#finishRound();
    if (performance.now() - this.#savedAtMs >= (this.#options.checkpointEveryMs ?? 5000)) await this.#save();
    if (performance.now() - this.#reportedAtMs >= progressEveryMs) this.#report('training');
  }

  async #finishRound(): Promise<void> {
    this.#owedRows = 0;
    this.#rounds += 1;
    const moved = this.#meter.appliedSteps > 0;
    this.#meter.finishRound();
    // The candidate's files and the checkpoint are on disk before anybody hears of it.
    const candidate = moved ? await this.#writeCandidate() : null;
    await this.#save();
    this.#report('idle');
    if (candidate !== null) this.#options.send(candidate);
  }

  async #writeCandidate(): Promise<LearnerEvent> {
    const { start } = this.#options;
    const adapter = this.#trainee.adapter();
    const directory = join(this.#candidates, `${this.#rounds}-${this.#steps}`);
    const { loss, meanReward, kl, belowMeanH } = this.#meter.figures();
    const metrics = finiteMetrics({
      steps: this.#steps,
      dropped_steps: this.#droppedSteps,
      rounds: this.#rounds,
      scores_seen: this.#buffer.scoresSeen,
      loss,
      mean_reward: meanReward,
      kl,
      below_mean_h: belowMeanH,
    });
    const parent = this.#liveVersion;
    const adapterDigest = await writeAdapter(directory, adapter, {
      packageDigest: start.packageDigest,
      baseModel: basename(start.packageDirectory),
      parent,
      createdAtMs: Date.now(),
      metrics,
    });
    this.#trainee.offered(adapterDigest);
    return { type: 'candidate', directory, adapterDigest, parent, metrics };
  }

  async #save(): Promise<void> {
    const { state, parameters, moments } = this.#trainee.state();
    await writeCheckpoint(this.#checkpointPath, {
      parameters,
      moments,
      state: {
        ...state,
        packageDigest: this.#options.start.packageDigest,
        sequence: this.#buffer.since,
        owedRows: this.#owedRows,
        steps: this.#steps,
        droppedSteps: this.#droppedSteps,
        rounds: this.#rounds,
        uses: [...this.#buffer.uses()],
      },
    });
    this.#savedAtMs = performance.now();
  }

  #newBuffer(checkpoint?: Checkpoint): ExperienceBuffer {
    const { packageDigest, settings, reward } = this.#options.start;
    return new ExperienceBuffer({
      packageDigest,
      holdoutShare: settings.holdoutShare,
      maxStaleness: settings.maxStaleness,
      uses: new Map(checkpoint?.state.uses),
      since: checkpoint?.state.sequence ?? 0,
      ...(reward === undefined ? {} : { reward }),
    });
  }

  #report(state: LearnerState): void {
    this.#state = state;
    this.#reportedAtMs = performance.now();
    this.#options.send({
      type: 'progress',
      progress: {
        state,
        steps: this.#steps,
        droppedSteps: this.#droppedSteps,
        rounds: this.#rounds,
        scoresSeen: this.#buffer.scoresSeen,
        lastSequence: this.#buffer.sequence,
        ...this.#meter.figures(),
      },
    });
  }

  /** Resolves with the next command. */
  #somethingToDo(): Promise<void> {
    if (this.#stopping || this.#heads.length > 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#attention = resolve;
    });
  }
}
