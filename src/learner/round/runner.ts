/**
 * The learner at work: it waits for enough fresh scores, learns from them step by step, offers a candidate, and waits
 * again.
 *
 * A round begins with `scoresPerRound` fresh scores. It lasts until it has used (fresh x replay ratio) completions, or
 * until every completion is used up. The checkpoint holds all that the learner decides on, so a learner that was killed
 * goes on in the middle of a round: it repeats the steps since the checkpoint with the same result, because their random
 * draws follow from the seed and the number of the step. It takes commands between steps, so a rollback ends a round at
 * once.
 *
 * A guard judges every step, and the weights before they are offered: see `guard.ts`.
 */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ReplayReader } from '../../replay/index.js';
import type { ExperienceBuffer } from '../experience/buffer.js';
import { CommandInbox, type WeightsCommand } from '../process/command-inbox.js';
import type { LearnerEvent, LearnerStart, RunnerCommand } from '../process/messages.js';
import { Reporter } from '../process/reporter.js';
import type { TrainingEngine } from '../types.js';
import { writeCheckpoint } from './checkpoint.js';
import { checkpointOf, damagedName, findCheckpoint, openBuffer, withoutLessons } from './resume.js';
import { type LiveWeights, Round } from './round.js';
import { RunnerLife } from './runner-life.js';
import { TrainingState } from './training-state.js';
import { keepNewest } from './write-candidate.js';

export interface RunnerOptions {
  readonly start: LearnerStart;
  readonly engine: TrainingEngine;
  readonly reader: ReplayReader;
  readonly send: (event: LearnerEvent) => void;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
}

/** Pages of the store that the learner reads before it takes commands again. */
const pagesPerTurn = 8;

export class LearnerRunner {
  readonly #options: RunnerOptions;
  readonly #checkpointPath: string;
  readonly #candidates: string;
  readonly #inbox = new CommandInbox();
  readonly #life = new RunnerLife();
  readonly #reporter: Reporter;
  readonly #training: TrainingState;
  #buffer: ExperienceBuffer;
  #round: Round;
  #live: LiveWeights;
  #savedAtMs = 0;
  /** Removals from the store that the learner's files follow. */
  #removalsFollowed = 0;

  constructor(options: RunnerOptions) {
    const { start, engine } = options;
    this.#options = options;
    this.#checkpointPath = join(start.directory, 'checkpoint.safetensors');
    this.#candidates = join(start.directory, 'candidates');
    this.#reporter = new Reporter(options.send, start.reportEveryMs);
    this.#training = new TrainingState(engine, start.settings);
    this.#buffer = openBuffer(start, options.now);
    this.#round = new Round({ start, engine, training: this.#training, candidates: this.#candidates });
    const { liveVersion: version, adapterPath, adapterDigest, imported = false } = start;
    this.#live = { version, adapterPath, adapterDigest, imported };
    if (start.relearn) this.#inbox.put({ type: 'relearn' });
    if (start.goOn) this.#inbox.put({ type: 'go_on' });
    // Data may have been erased while no learner was running, so the learner looks for removed lessons at its start.
    this.#inbox.put({ type: 'erased' });
  }

  /** Takes a command; it takes effect after the step in flight. */
  handle(command: RunnerCommand): void {
    this.#inbox.put(command);
  }

  /**
   * Learns until the command to stop; the checkpoint is on disk when this resolves.
   * @throws HoneError what ends the learner: files of the live version that hold other weights, a disk that fails
   */
  async run(): Promise<void> {
    await this.#open();
    this.#life.moveTo('catching_up');
    if (await this.#catchUp()) {
      await this.#save();
      this.#options.send({ type: 'ready', pid: process.pid });
      this.#rest();
      while (!this.#inbox.stopRequested) {
        await this.#takeTurn();
        // Lets commands in that have arrived meanwhile.
        await nextTurn();
      }
      await this.#stop();
    }
    this.#life.moveTo('stopped');
  }

  async #open(): Promise<void> {
    const { start, engine, now, send } = this.#options;
    await mkdir(start.directory, { recursive: true, mode: 0o700 });
    await keepNewest(this.#candidates);
    const checkpoint = await findCheckpoint(this.#checkpointPath, start.packageDigest, (error) =>
      send({ type: 'failed', ...error }),
    );
    if (checkpoint !== undefined) {
      const options = { start, engine, training: this.#training, candidates: this.#candidates };
      this.#round = new Round(options, checkpoint.state);
      this.#buffer = openBuffer(start, now, checkpoint.state);
    }
    const resumed = await this.#training.follow(
      start.liveVersion,
      start.adapterPath,
      start.adapterDigest,
      start.rolledBack ?? false,
      checkpoint,
    );
    if (!resumed) {
      // The discarded weights had learned from these completions; they may teach again.
      if (checkpoint !== undefined) this.#buffer = openBuffer(start, now, withoutLessons(checkpoint.state));
      this.#round.forget();
    }
    if (this.#inbox.take('go_on')) this.#round.goOn();
  }

  /**
   * Reads the whole store before the first report, because figures of zero would look like a loss.
   * @returns whether that was completed; otherwise the learner was told to stop
   */
  async #catchUp(): Promise<boolean> {
    while (!this.#inbox.stopRequested) {
      const hasMore = this.#readStore();
      await nextTurn();
      if (!hasMore) return true;
    }
    return false;
  }

  /** Carries out the commands, reads what is new in the store, and then takes a step or waits. */
  async #takeTurn(): Promise<void> {
    await this.#takeWeightsCommands();
    if (this.#inbox.take('go_on')) await this.#goOn();
    this.#inbox.take('changed');
    const hasMore = this.#readStore();
    await this.#followRemovals();
    if (hasMore) return;
    if (this.#inbox.take('relearn')) await this.#relearn();
    if (this.#mayBeginRound()) {
      this.#round.begin(this.#buffer.beginRound());
      // A later process could not count the fresh completions again: one that was scored twice counts twice.
      await this.#save();
    }
    if (this.#round.isOpen) await this.#learn();
    else await this.#waitForWork();
  }

  async #stop(): Promise<void> {
    this.#life.moveTo('stopping');
    this.#report();
    await this.#takeWeightsCommands();
    if (this.#inbox.take('go_on')) this.#round.goOn();
    if (this.#inbox.take('relearn')) await this.#relearn();
    else await this.#save();
  }

  #readStore(): boolean {
    return this.#buffer.sync(this.#options.reader, this.#live.version, pagesPerTurn);
  }

  #mayBeginRound(): boolean {
    const { scoresPerRound } = this.#options.start.settings;
    return this.#life.state !== 'halted' && !this.#round.isOpen && this.#buffer.ledger.fresh >= scoresPerRound;
  }

  async #learn(): Promise<void> {
    this.#life.moveTo('training');
    if (this.#reporter.isTrainingDue) this.#report();
    const outcome = await this.#round.step(this.#buffer, this.#live);
    if (outcome.type === 'open') {
      const { checkpointEveryMs = 5000 } = this.#options.start;
      if (performance.now() - this.#savedAtMs >= checkpointEveryMs) await this.#save();
      if (this.#reporter.isTrainingDue) this.#report();
      return;
    }
    // The candidate's files and the checkpoint are on disk before the server hears of the candidate.
    await this.#save();
    this.#rest();
    const event = outcome.type === 'finished' ? outcome.candidate : outcome.setback;
    if (event !== null) this.#options.send(event);
  }

  async #takeWeightsCommands(): Promise<void> {
    for (let next = this.#inbox.takeWeightsCommand(); next !== undefined; next = this.#inbox.takeWeightsCommand()) {
      const lessons = this.#training.lessons.all();
      if (await this.#keepsWeights(next)) continue;
      // The discarded weights had learned from these completions; they may teach again.
      this.#buffer.ledger.unuse(lessons);
      this.#round.forget();
      await this.#save();
      this.#rest();
    }
  }

  /** Carries out a command. Returns whether the weights in training are still those from before it. */
  async #keepsWeights(command: WeightsCommand): Promise<boolean> {
    if (command.type === 'rejected') {
      return !(await this.#training.rejected(command.adapterDigest, this.#live.adapterPath));
    }
    if (command.type === 'erased') {
      while (this.#readStore()) await nextTurn();
      await this.#followRemovals();
      if (!(await this.#training.erased(this.#live.adapterPath))) return true;
      // The candidates may hold something of the erased data, and the server has no use for them any more.
      await rm(this.#candidates, { recursive: true, force: true });
      return false;
    }
    const { version, adapterPath, adapterDigest, rolledBack, imported = false } = command;
    this.#live = { version, adapterPath, adapterDigest, imported };
    this.#buffer.forgetStale(version);
    return this.#training.follow(version, adapterPath, adapterDigest, rolledBack);
  }

  async #goOn(): Promise<void> {
    this.#round.goOn();
    await this.#save();
    this.#rest();
  }

  async #relearn(): Promise<void> {
    this.#buffer.ledger.relearn();
    await this.#save();
    this.#options.send({ type: 'relearned' });
  }

  /** Takes what was removed from the store out of the learner's files, too. */
  async #followRemovals(): Promise<void> {
    if (this.#buffer.removals === this.#removalsFollowed) return;
    this.#removalsFollowed = this.#buffer.removals;
    this.#training.retain(new Set(this.#options.reader.existing(this.#training.remembered())));
    await rm(damagedName(this.#checkpointPath), { force: true });
    await this.#save();
  }

  /** Resolves with the next command, or when a reward or a report becomes due. */
  async #waitForWork(): Promise<void> {
    if (!this.#inbox.isEmpty) return;
    if (this.#reporter.readingDueMs(this.#buffer) === 0) this.#rest();
    const dueAtMs = this.#buffer.pending.nextDueAtMs;
    const rewardMs = dueAtMs === null ? null : dueAtMs - (this.#options.now ?? Date.now)();
    const waits = [rewardMs, this.#reporter.readingDueMs(this.#buffer)].filter((ms) => ms !== null);
    await this.#inbox.wait(waits.length === 0 ? null : Math.min(...waits));
  }

  /** No step is being taken: the learner is idle or halted, and reports that. One that is stopping stays so. */
  #rest(): void {
    if (this.#life.state !== 'stopping') this.#life.moveTo(this.#round.haltedBecause === null ? 'idle' : 'halted');
    this.#report();
  }

  #report(): void {
    this.#reporter.report(this.#life.reported, this.#round.status(), this.#buffer, this.#live.version);
  }

  async #save(): Promise<void> {
    const { start } = this.#options;
    await writeCheckpoint(this.#checkpointPath, checkpointOf(start, this.#training, this.#buffer, this.#round));
    this.#savedAtMs = performance.now();
  }
}
