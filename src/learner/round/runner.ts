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
 *
 * Records on which training breaks are set aside (`../quarantine`). The learner then begins again with the checkpoint from
 * before the open round, so it learns what it would have learned if those records had never been there.
 */

import { copyFile, link, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HoneError } from '../../errors.js';
import type { ReplayReader } from '../../replay/index.js';
import type { ExperienceBuffer } from '../experience/buffer.js';
import { generationOf } from '../experience/entries.js';
import { CommandInbox, type WeightsCommand } from '../process/command-inbox.js';
import type { LearnerEvent, LearnerStart, RunnerCommand } from '../process/messages.js';
import { Reporter } from '../process/reporter.js';
import { RecordsAtFault } from '../quarantine/records-at-fault.js';
import { SetAside, type SetAsideRecord } from '../quarantine/set-aside.js';
import { Suspicion } from '../quarantine/suspicion.js';
import { WatchedEngine } from '../quarantine/watched-engine.js';
import type { TrainingEngine } from '../types.js';
import { type CheckpointState, writeCheckpoint } from './checkpoint.js';
import { beforeRoundName, checkpointOf, damagedName, findCheckpoint, openBuffer, withoutLessons } from './resume.js';
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
  readonly #suspicion: Suspicion;
  readonly #engine: WatchedEngine;
  readonly #setAside: SetAside;
  #training: TrainingState;
  #buffer: ExperienceBuffer;
  #round: Round;
  #live: LiveWeights & { readonly rolledBack: boolean };
  #savedAtMs = 0;
  /** Removals from the store that the learner's files follow. */
  #removalsFollowed = 0;
  /** As {@link CheckpointState.reportedUpTo}. */
  #reportedUpTo = 0;
  /** The last command to relearn that was given. */
  #relearn = 0;

  constructor(options: RunnerOptions) {
    const { start, engine } = options;
    this.#options = options;
    this.#checkpointPath = join(start.directory, 'checkpoint.safetensors');
    this.#candidates = join(start.directory, 'candidates');
    this.#reporter = new Reporter(options.send, start.reportEveryMs);
    this.#suspicion = new Suspicion(join(start.directory, 'pass.json'));
    this.#engine = new WatchedEngine(engine, this.#suspicion);
    this.#setAside = new SetAside(join(start.directory, 'set-aside.json'), start.packageDigest);
    this.#training = new TrainingState(this.#engine, start.settings);
    this.#buffer = this.#newBuffer();
    this.#round = this.#newRound();
    const { liveVersion: version, adapterPath, adapterDigest, imported = false, rolledBack = false } = start;
    this.#live = { version, adapterPath, adapterDigest, imported, rolledBack };
    if (start.relearn !== undefined) this.handle({ type: 'relearn', number: start.relearn });
    if (start.goOn) this.#inbox.put({ type: 'go_on' });
    // Data may have been erased while no learner was running, so the learner looks for removed lessons at its start.
    this.#inbox.put({ type: 'erased' });
  }

  /** Takes a command; it takes effect after the step in flight. */
  handle(command: RunnerCommand): void {
    if (command.type === 'relearn') this.#relearn = Math.max(this.#relearn, command.number);
    this.#inbox.put(command);
  }

  /** The process ends at once, because nobody needs it any more: that is not the fault of the pass in flight. */
  abandon(): void {
    this.#suspicion.close();
  }

  /**
   * Learns until the command to stop; the checkpoint is on disk when this resolves.
   * @throws HoneError what ends the learner: files of the live version that hold other weights, a disk that fails, an
   * engine that fails on every record
   */
  async run(): Promise<void> {
    const { start, send } = this.#options;
    await mkdir(start.directory, { recursive: true, mode: 0o700 });
    await keepNewest(this.#candidates);
    // A process that died in the engine is looked into at once; one that failed over two tokens is a matter of the engine.
    const diedIn = this.#suspicion.open();
    if (diedIn !== null && diedIn.part !== 'trivial') send({ type: 'investigating' });
    try {
      await this.#setAside.open((error) => send({ type: 'failed', ...error }));
      let isFirst = true;
      do {
        await this.#open();
        this.#life.moveTo('catching_up');
        if (!(await this.#catchUp())) break;
        await this.#save();
        if (isFirst) send({ type: 'ready', pid: process.pid });
        isFirst = false;
        this.#rest();
      } while (!(await this.#takeTurns()));
    } finally {
      this.#suspicion.close();
    }
    this.#life.moveTo('stopped');
  }

  /** Returns true after the command to stop, and false if records were set aside: everything begins again then. */
  async #takeTurns(): Promise<boolean> {
    while (!this.#inbox.stopRequested) {
      try {
        await this.#takeTurn();
      } catch (thrown) {
        if (!(thrown instanceof RecordsAtFault)) throw thrown;
        await this.#setAsideBroken(thrown);
        return false;
      }
      // Lets commands in that have arrived meanwhile.
      await nextTurn();
    }
    await this.#stop();
    return true;
  }

  async #open(): Promise<void> {
    const { start, reader, send } = this.#options;
    const last = reader.lastSequence();
    const checkpoint = await findCheckpoint(this.#checkpointPath, start.packageDigest, last, (error) =>
      send({ type: 'failed', ...error }),
    );
    this.#setAside.forgetFound();
    this.#training = new TrainingState(this.#engine, start.settings);
    this.#buffer = this.#newBuffer(checkpoint?.state);
    this.#round = this.#newRound(checkpoint?.state);
    this.#removalsFollowed = 0;
    this.#reportedUpTo = Math.max(this.#reportedUpTo, checkpoint?.state.reportedUpTo ?? 0);
    const { version, adapterPath, adapterDigest, rolledBack } = this.#live;
    const resumed = await this.#training.follow(version, adapterPath, adapterDigest, rolledBack, checkpoint);
    if (!resumed) {
      // The discarded weights had learned from these completions; they may teach again.
      if (checkpoint !== undefined) this.#buffer = this.#newBuffer(withoutLessons(checkpoint.state));
      this.#round.forget();
    }
    if (this.#inbox.take('go_on')) this.#round.goOn();
  }

  #newBuffer(state?: CheckpointState): ExperienceBuffer {
    const { start, now } = this.#options;
    const holds = (prompt: number, completion: number) => this.#engine.holds(prompt, completion);
    return openBuffer(start, { setAside: this.#setAside, holds, ...(now === undefined ? {} : { now }) }, state);
  }

  #newRound(state?: CheckpointState): Round {
    const { start } = this.#options;
    return new Round({ start, engine: this.#engine, training: this.#training, candidates: this.#candidates }, state);
  }

  /**
   * Reads the whole store before the first report, because figures of zero would look like a loss.
   * @returns whether that was completed; otherwise the learner was told to stop
   */
  async #catchUp(): Promise<boolean> {
    while (!this.#inbox.stopRequested) {
      const hasMore = this.#readStore();
      await nextTurn();
      if (hasMore) continue;
      this.#reportSetAside();
      return true;
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
    if (this.#reportSetAside()) await this.#save();
    if (hasMore) return;
    if (this.#inbox.take('relearn')) await this.#learnAgain();
    if (this.#mayBeginRound()) {
      await this.#keepCheckpoint();
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
    if (this.#inbox.take('relearn')) await this.#learnAgain();
    else await this.#save();
  }

  /** The checkpoint on disk becomes the one from before the round that begins now. */
  async #keepCheckpoint(): Promise<void> {
    const kept = beforeRoundName(this.#checkpointPath);
    await this.#dropKept();
    // A checkpoint is replaced as a whole, so a second name keeps its content. Some file systems have no second names.
    await link(this.#checkpointPath, kept).catch(() => copyFile(this.#checkpointPath, kept));
  }

  /** The checkpoint from before the open round is of no use any more: the round has ended, or something else has begun. */
  async #dropKept(): Promise<void> {
    await rm(beforeRoundName(this.#checkpointPath), { force: true });
  }

  /** Sets the records at fault aside, on disk, and goes back to the checkpoint from before the round if it is there. */
  async #setAsideBroken(fault: RecordsAtFault): Promise<void> {
    const reasons = new Map<string, string>();
    for (const [entry, { group, completionTokens }] of this.#buffer.entries) {
      const reason = fault.reasonFor({ promptTokens: group.promptTokens, completionTokens });
      if (reason !== undefined) reasons.set(generationOf(entry), reason);
    }
    // A fault of a record that has just left the buffer cannot come back.
    if (reasons.size > 0) await this.#setAside.addBroken(reasons);
    const kept = beforeRoundName(this.#checkpointPath);
    await rename(kept, this.#checkpointPath).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw HoneError.from(error);
    });
    const records = [...reasons].map(([generationId, reason]) => ({ generationId, cause: 'broke' as const, reason }));
    this.#sendSetAside(records, true);
  }

  /** Reports what reading the store has shown since the last report. Returns whether something of it is news. */
  #reportSetAside(): boolean {
    const found = this.#setAside.takeNews();
    const known = found.filter(({ sequence }) => sequence <= this.#reportedUpTo);
    const news = found.filter(({ sequence }) => sequence > this.#reportedUpTo);
    this.#sendSetAside(this.#life.state === 'catching_up' ? [...this.#setAside.broken(), ...known] : known, false);
    this.#sendSetAside(news, true);
    this.#reportedUpTo = this.#buffer.sequence;
    return news.length > 0;
  }

  #sendSetAside(records: readonly SetAsideRecord[], isNews: boolean): void {
    if (records.length > 0) this.#options.send({ type: 'set_aside', records, isNews });
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
    await this.#dropKept();
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
      await this.#dropKept();
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
    this.#live = { version, adapterPath, adapterDigest, imported, rolledBack };
    this.#buffer.forgetStale(version);
    return this.#training.follow(version, adapterPath, adapterDigest, rolledBack);
  }

  async #goOn(): Promise<void> {
    this.#round.goOn();
    await this.#save();
    this.#rest();
  }

  async #learnAgain(): Promise<void> {
    const upTo = this.#relearn;
    this.#buffer.ledger.relearn();
    await this.#save();
    await this.#dropKept();
    this.#options.send({ type: 'relearned', upTo });
  }

  /** Takes what was removed from the store out of the learner's files, too. */
  async #followRemovals(): Promise<void> {
    if (this.#buffer.removals === this.#removalsFollowed) return;
    this.#removalsFollowed = this.#buffer.removals;
    this.#training.retain(new Set(this.#options.reader.existing(this.#training.remembered())));
    await this.#setAside.retain((ids) => this.#options.reader.existing(ids));
    await rm(damagedName(this.#checkpointPath), { force: true });
    // The kept one holds what was removed, too.
    await this.#dropKept();
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
    const figures = { ...this.#round.status(), setAside: this.#setAside.counts };
    this.#reporter.report(this.#life.reported, figures, this.#buffer, this.#live.version);
  }

  async #save(): Promise<void> {
    const { start } = this.#options;
    const checkpoint = checkpointOf(start, this.#training, this.#buffer, this.#round, this.#reportedUpTo);
    await writeCheckpoint(this.#checkpointPath, checkpoint);
    this.#savedAtMs = performance.now();
  }
}
