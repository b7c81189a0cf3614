/**
 * The learner's life: wait for enough fresh scores, learn from them step by step, offer a candidate, again.
 *
 * A round begins with `scoresPerRound` fresh scores and lasts until it has used (fresh x replay ratio) completions, or
 * until every completion is used up. What it decides on is in the checkpoint, so that a learner that was killed goes on
 * in the middle of a round: steps that it has taken since the checkpoint are taken again and come out the same, for what
 * they draw follows from the seed and their number. Between steps it listens: a rollback ends the round at once.
 *
 * A guard looks at every step, and at the weights before they are offered. A round that goes out of bounds ends there, its
 * weights are given up for those that serve, and after some such in a row nothing more is learned until somebody says go on.
 */

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { WakeUp } from '../../process/wake-up.js';
import type { ReplayReader } from '../../replay/index.js';
import type { ExperienceBuffer } from '../experience/buffer.js';
import { generationsOf } from '../experience/entries.js';
import type { Member } from '../experience/members.js';
import type { LearnerCommand, LearnerEvent, LearnerStart } from '../process/messages.js';
import { Reporter } from '../process/reporter.js';
import type { LearnerState } from '../process/status.js';
import type { TrainingEngine } from '../types.js';
import { writeCheckpoint } from './checkpoint.js';
import { type Breach, figuresOf } from './guard.js';
import { damagedName, findCheckpoint, openBuffer, referencesOf, withoutLessons } from './resume.js';
import { RoundMeter } from './round-meter.js';
import { Setbacks } from './setbacks.js';
import { evaluate, learnStep, type StepReport } from './step.js';
import { TrainingState } from './training-state.js';
import { candidateName, keepNewest, writeCandidate } from './write-candidate.js';

export interface RunnerOptions {
  readonly start: LearnerStart;
  readonly engine: TrainingEngine;
  readonly reader: ReplayReader;
  readonly send: (event: LearnerEvent) => void;
  /** Milliseconds since 1970, for the windows of metrics. Default `Date.now`. */
  readonly now?: () => number;
}

/** What changes the weights in training. */
type HeadCommand = Extract<LearnerCommand, { readonly type: 'live' | 'rejected' | 'erased' }>;

/** Pages of the store read at once before the learner listens again. */
const pagesPerTurn = 8;

export class LearnerRunner {
  readonly #options: RunnerOptions;
  readonly #checkpointPath: string;
  readonly #candidates: string;
  readonly #trainee: TrainingState;
  readonly #meter = new RoundMeter();
  #buffer: ExperienceBuffer;
  #setbacks: Setbacks;
  /** What the last step learned from. */
  #lastMembers: readonly Member[] = [];
  #heads: HeadCommand[] = [];
  #liveVersion: number;
  #liveDigest: string;
  /** Whether the live version goes back to an import. */
  #imported: boolean;
  /** Of the live version. */
  #adapterPath: string | null;
  #owedRows = 0;
  #steps = 0;
  #droppedSteps = 0;
  #rounds = 0;
  #savedAtMs = 0;
  #stopping = false;
  #relearning = false;
  #goingOn: boolean;
  /** Whether the store has changed since it was last read. */
  #changed = false;
  #removals = 0;
  readonly #reporter: Reporter;
  readonly #wakeUp = new WakeUp();

  constructor(options: RunnerOptions) {
    const { start, engine } = options;
    this.#options = options;
    this.#checkpointPath = join(start.directory, 'checkpoint.safetensors');
    this.#candidates = join(start.directory, 'candidates');
    this.#trainee = new TrainingState(engine, start.settings);
    this.#liveVersion = start.liveVersion;
    this.#liveDigest = start.adapterDigest;
    this.#adapterPath = start.adapterPath;
    this.#imported = start.imported ?? false;
    this.#buffer = openBuffer(start, options.now);
    this.#reporter = new Reporter(options.send, options.start.reportEveryMs);
    this.#setbacks = new Setbacks(start.settings);
    this.#relearning = start.relearn ?? false;
    this.#goingOn = start.goOn ?? false;
    // Nobody may have lived to say so: what the weights were learned from and is gone counts as erased.
    this.#heads.push({ type: 'erased' });
  }

  /** Takes a command; it takes effect after the step in flight. */
  handle(command: LearnerCommand): void {
    if (command.type === 'live' || command.type === 'rejected' || command.type === 'erased') this.#heads.push(command);
    if (command.type === 'stop') this.#stopping = true;
    if (command.type === 'relearn') this.#relearning = true;
    if (command.type === 'changed') this.#changed = true;
    if (command.type === 'go_on') this.#goingOn = true;
    this.#wakeUp.call();
  }

  /** Learns until it is told to stop; then the checkpoint is on disk. */
  async run(): Promise<void> {
    await this.#open();
    // All that the store holds is known before the first report: figures of zero would look like a loss.
    let known = false;
    while (!this.#stopping && !known) {
      known = !this.#buffer.sync(this.#options.reader, this.#liveVersion, pagesPerTurn);
      await nextTurn();
    }
    // Until then the checkpoint knows more than the buffer: how often completions that it has yet to meet were used.
    if (!known) return;
    await this.#save();
    this.#options.send({ type: 'ready', pid: process.pid });
    this.#rest();
    while (!this.#stopping) {
      await this.#followHead();
      if (this.#goingOn) await this.#goOn();
      this.#changed = false;
      const more = this.#buffer.sync(this.#options.reader, this.#liveVersion, pagesPerTurn);
      await this.#forgetRemoved();
      if (!more) {
        if (this.#relearning) await this.#relearn();
        const halted = this.#setbacks.haltedBecause !== null;
        if (!halted && this.#owedRows === 0 && this.#buffer.fresh >= this.#options.start.settings.scoresPerRound) {
          this.#owedRows = this.#buffer.beginRound() * this.#options.start.settings.replayRatio;
          // How many were fresh cannot be counted anew: what was scored twice was counted twice.
          await this.#save();
        }
        if (this.#owedRows > 0) await this.#learn();
        else await this.#somethingToDo();
      }
      // Lets commands in that arrived meanwhile.
      await nextTurn();
    }
    this.#report('stopping');
    await this.#followHead();
    if (this.#relearning) await this.#relearn();
    await this.#save();
  }

  async #open(): Promise<void> {
    const { start, send } = this.#options;
    await mkdir(start.directory, { recursive: true, mode: 0o700 });
    await keepNewest(this.#candidates);
    const checkpoint = await findCheckpoint(this.#checkpointPath, start.packageDigest, (error) =>
      send({ type: 'failed', ...error }),
    );
    if (checkpoint !== undefined) {
      const { steps, droppedSteps, rounds, owedRows, meter, setbacks } = checkpoint.state;
      this.#steps = steps;
      this.#droppedSteps = droppedSteps;
      this.#rounds = rounds;
      this.#owedRows = owedRows;
      this.#buffer = openBuffer(start, this.#options.now, checkpoint.state);
      this.#setbacks = new Setbacks(start.settings, setbacks);
      if (meter !== undefined) this.#meter.restore(meter);
    }
    const resumed = await this.#trainee.follow(
      start.liveVersion,
      start.adapterPath,
      start.adapterDigest,
      start.rolledBack ?? false,
      checkpoint,
    );
    if (!resumed) {
      // They were forgotten with the weights, and may be learned from again.
      if (checkpoint !== undefined)
        this.#buffer = openBuffer(start, this.#options.now, withoutLessons(checkpoint.state));
      this.#forgetRound();
    }
    if (this.#goingOn) this.#setbacks.goOn();
    this.#goingOn = false;
  }

  async #followHead(): Promise<void> {
    for (let head = this.#heads.shift(); head !== undefined; head = this.#heads.shift()) {
      const lessons = this.#trainee.lessons.all();
      if (await this.#continues(head)) continue;
      // They are forgotten with the weights, and may be learned from again.
      this.#buffer.unuse(lessons);
      this.#forgetRound();
      await this.#save();
      this.#rest();
    }
  }

  /** The weights are others now. */
  #forgetRound(): void {
    this.#owedRows = 0;
    this.#lastMembers = [];
    this.#meter.reset();
    this.#setbacks.reset();
  }

  /** Whether the weights in training are still the ones from before. */
  async #continues(command: HeadCommand): Promise<boolean> {
    if (command.type === 'rejected') {
      return !(await this.#trainee.rejected(command.adapterDigest, this.#adapterPath));
    }
    if (command.type === 'erased') {
      while (this.#buffer.sync(this.#options.reader, this.#liveVersion, pagesPerTurn)) await nextTurn();
      await this.#forgetRemoved();
      if (!(await this.#trainee.erased(this.#adapterPath))) return true;
      // What it offered may hold something of it, and nobody needs it any more.
      await rm(this.#candidates, { recursive: true, force: true });
      return false;
    }
    this.#liveVersion = command.version;
    this.#liveDigest = command.adapterDigest;
    this.#adapterPath = command.adapterPath;
    this.#imported = command.imported ?? false;
    this.#buffer.forgetStale(command.version);
    return this.#trainee.follow(command.version, command.adapterPath, command.adapterDigest, command.rolledBack);
  }

  async #learn(): Promise<void> {
    if (this.#reporter.isTrainingDue) this.#report('training');
    const startedAtMs = performance.now();
    const { engine, start } = this.#options;
    const { optimizer, baseline, parameters, reference } = this.#trainee;
    const buffer = this.#buffer;
    const options = { engine, optimizer, buffer, baseline, parameters, reference, settings: start.settings };
    const report = await learnStep(options, this.#steps);
    if (report === null) return this.#finishRound();
    if (report.applied)
      this.#trainee.lessons.use(report.members.flatMap(({ rewards }) => [...rewards.keys()].flatMap(generationsOf)));
    this.#steps += 1;
    if (!report.applied) this.#droppedSteps += 1;
    this.#owedRows = Math.max(0, this.#owedRows - report.rows);
    this.#lastMembers = report.members;
    const breach = this.#look(report);
    this.#meter.add(report, performance.now() - startedAtMs);
    if (breach !== null) return this.#setBack(breach);
    if (this.#owedRows === 0) return this.#finishRound();
    if (performance.now() - this.#savedAtMs >= (this.#options.start.checkpointEveryMs ?? 5000)) await this.#save();
    if (this.#reporter.isTrainingDue) this.#report('training');
  }

  async #finishRound(): Promise<void> {
    const breach = await this.#lookAtTheLast();
    if (breach !== null) return this.#setBack(breach);
    this.#owedRows = 0;
    this.#rounds += 1;
    this.#setbacks.roundEnded();
    const moved = this.#meter.appliedSteps > 0;
    this.#meter.finishRound(this.#liveVersion);
    // The candidate's files and the checkpoint are on disk before anybody hears of it.
    const candidate = moved ? await this.#writeCandidate() : null;
    await this.#save();
    this.#rest();
    if (candidate !== null) this.#options.send(candidate);
  }

  /** What the guard says of a step. */
  #look(report: Pick<StepReport, 'members' | 'logprobs' | 'weights' | 'applied'>): Breach | null {
    const { settings } = this.#options.start;
    const figures = figuresOf(report, this.#liveDigest, this.#trainee.parameters, this.#meter.steps === 0, settings);
    // Somebody put weights there that are as far from version 0 as they are.
    return this.#setbacks.see(this.#imported ? { ...figures, kl: null } : figures);
  }

  /** A step's figures are of the weights before it: the last step of a round shows in none. */
  async #lookAtTheLast(): Promise<Breach | null> {
    if (!this.#meter.lastApplied) return null;
    // None where the process was started since: then those with the newest feedback.
    const members = this.#lastMembers.length > 0 ? this.#lastMembers : [...this.#buffer.entries.values()].slice(-64);
    if (members.length === 0) return null;
    const logprobs = await evaluate(this.#options.engine, members, this.#trainee.parameters);
    return this.#look({ members, logprobs, weights: [], applied: true });
  }

  /** The round is given up, and the weights with it; so is what was offered on the way to them. */
  async #setBack({ check, message, numbers }: Breach): Promise<void> {
    const liveVersion = this.#liveVersion;
    this.#setbacks.add({ check, message, numbers });
    this.#rounds += 1;
    this.#buffer.giveBack(this.#trainee.lessons.all());
    await this.#trainee.goBack(this.#adapterPath);
    this.#forgetRound();
    await this.#save();
    this.#rest();
    const { inARow, total } = this.#setbacks;
    this.#options.send({
      type: 'setback',
      check,
      liveVersion,
      message: `${message}. Training went back to version ${liveVersion}; ${this.#setbacks.outlook}`,
      numbers: { ...numbers, in_a_row: inARow, setbacks: total, steps: this.#steps, rounds: this.#rounds },
    });
  }

  async #goOn(): Promise<void> {
    this.#goingOn = false;
    this.#setbacks.goOn();
    await this.#save();
    this.#rest();
  }

  async #writeCandidate(): Promise<LearnerEvent> {
    const { start } = this.#options;
    const candidate = await writeCandidate(join(this.#candidates, candidateName(this.#rounds, this.#steps)), {
      start,
      trainee: this.#trainee,
      parent: this.#liveVersion,
      metrics: {
        steps: this.#steps,
        dropped_steps: this.#droppedSteps,
        rounds: this.#rounds,
        scores_seen: this.#buffer.scoresSeen,
        ...this.#meter.metrics(),
      },
    });
    this.#trainee.offered(candidate.adapterDigest);
    return candidate;
  }

  async #save(): Promise<void> {
    const { state, ...tensors } = this.#trainee.state();
    await writeCheckpoint(this.#checkpointPath, {
      ...tensors,
      state: {
        ...state,
        packageDigest: this.#options.start.packageDigest,
        sequence: this.#buffer.since,
        readSequence: this.#buffer.sequence,
        cutoff: this.#buffer.cutoff,
        meter: this.#meter.state(),
        setbacks: this.#setbacks.state(),
        givenBack: this.#buffer.givenBack(),
        references: [...this.#buffer.references(this.#trainee.reference.digest)],
        referencesOf: referencesOf(this.#options.start.settings),
        owedRows: this.#owedRows,
        steps: this.#steps,
        droppedSteps: this.#droppedSteps,
        rounds: this.#rounds,
        uses: [...this.#buffer.uses()],
        pending: this.#buffer.pendingIds(),
      },
    });
    this.#savedAtMs = performance.now();
  }

  /** Nothing is being learned. */
  #rest(): void {
    this.#report(this.#setbacks.haltedBecause === null ? 'idle' : 'halted');
  }

  #report(state: LearnerState): void {
    const figures = {
      steps: this.#steps,
      droppedSteps: this.#droppedSteps,
      rounds: this.#rounds,
      setbacks: this.#setbacks.total,
      haltedBecause: this.#setbacks.haltedBecause,
      ...this.#meter.figures(),
    };
    this.#reporter.tell(state, figures, this.#buffer, this.#liveVersion);
  }

  /** What was removed from the store stands in no file of the learner's either. */
  async #forgetRemoved(): Promise<void> {
    if (this.#buffer.removals === this.#removals) return;
    this.#removals = this.#buffer.removals;
    this.#trainee.retain(new Set(this.#options.reader.existing(this.#trainee.remembered())));
    await rm(damagedName(this.#checkpointPath), { force: true });
    await this.#save();
  }

  async #relearn(): Promise<void> {
    this.#relearning = false;
    this.#buffer.relearn();
    await this.#save();
  }

  /** Resolves with the next command, or when a reward or a report becomes due. */
  #somethingToDo(): Promise<void> {
    if (this.#stopping || this.#heads.length > 0 || this.#relearning || this.#changed || this.#goingOn)
      return Promise.resolve();
    if (this.#reporter.readingDueMs(this.#buffer) === 0) this.#rest();
    const dueAtMs = this.#buffer.nextDueAtMs;
    const rewardMs = dueAtMs === null ? null : dueAtMs - (this.#options.now ?? Date.now)();
    const waits = [rewardMs, this.#reporter.readingDueMs(this.#buffer)].filter((ms) => ms !== null);
    return this.#wakeUp.wait(waits.length === 0 ? null : Math.min(...waits));
  }
}
