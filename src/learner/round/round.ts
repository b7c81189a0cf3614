/**
 * A round of training: it owes a number of completions, and ends with a candidate or with a setback.
 *
 * One object goes from round to round, because figures outlive the round that made them: status shows the last finished
 * round, and the guard judges the steps of several rounds. A setback gives up the round and its weights: training goes
 * back to the live version, and the completions may be learned from once more.
 */

import { join } from 'node:path';
import type { ExperienceBuffer } from '../experience/buffer.js';
import { generationsOf } from '../experience/entries.js';
import type { Member } from '../experience/members.js';
import type { LearnerEvent, LearnerStart } from '../process/messages.js';
import type { LearnerProgress } from '../process/status.js';
import type { TrainingEngine } from '../types.js';
import type { CheckpointState } from './checkpoint.js';
import { type Breach, figuresOf } from './guard.js';
import { RoundMeter } from './round-meter.js';
import { Setbacks } from './setbacks.js';
import { evaluate, learnStep, type StepReport } from './step.js';
import type { TrainingState } from './training-state.js';
import { candidateName, writeCandidate } from './write-candidate.js';

export interface RoundOptions {
  readonly start: LearnerStart;
  readonly engine: TrainingEngine;
  readonly training: TrainingState;
  /** The folder that candidates are written to, each in a folder of its own. */
  readonly candidates: string;
}

/** The live version as a round needs it. */
export interface LiveWeights {
  readonly version: number;
  /** Folder of its adapter; null is the zero adapter. */
  readonly adapterPath: string | null;
  readonly adapterDigest: string;
  /** Whether it descends from an import. */
  readonly imported: boolean;
}

/** What a checkpoint keeps of the round. */
export type RoundState = Pick<CheckpointState, 'owedRows' | 'steps' | 'droppedSteps' | 'rounds' | 'meter' | 'setbacks'>;

/** What the round adds to the learner's progress. */
export type RoundStatus = Omit<LearnerProgress, 'state' | 'scoresSeen' | 'lastSequence' | 'buffer' | 'setAside'>;

/** What a step has done to its round. `candidate` is null if no step of the round moved the weights. */
export type StepOutcome =
  | { readonly type: 'open' }
  | { readonly type: 'finished'; readonly candidate: Extract<LearnerEvent, { readonly type: 'candidate' }> | null }
  | { readonly type: 'set_back'; readonly setback: Extract<LearnerEvent, { readonly type: 'setback' }> };

/** Completions that the guard reads if the process has not taken a step of the round itself. */
const membersAfterRestart = 64;

export class Round {
  readonly #options: RoundOptions;
  readonly #meter = new RoundMeter();
  readonly #setbacks: Setbacks;
  /** The completions of the last step. */
  #lastMembers: readonly Member[] = [];
  /** Completions that the round still has to use; 0 between rounds. */
  #owedRows: number;
  #steps: number;
  #droppedSteps: number;
  #rounds: number;

  /** @param state of a checkpoint; default: no round has begun yet */
  constructor(options: RoundOptions, state?: RoundState) {
    this.#options = options;
    this.#setbacks = new Setbacks(options.start.settings, state?.setbacks);
    this.#owedRows = state?.owedRows ?? 0;
    this.#steps = state?.steps ?? 0;
    this.#droppedSteps = state?.droppedSteps ?? 0;
    this.#rounds = state?.rounds ?? 0;
    if (state?.meter !== undefined) this.#meter.restore(state.meter);
  }

  get isOpen(): boolean {
    return this.#owedRows > 0;
  }

  /** Why no further round may begin; null if one may. */
  get haltedBecause(): string | null {
    return this.#setbacks.haltedBecause;
  }

  /** @param fresh completions that were judged since the last round began */
  begin(fresh: number): void {
    this.#owedRows = fresh * this.#options.start.settings.replayRatio;
  }

  /** Takes one step, and ends the round if it was the last one or went out of bounds. */
  async step(buffer: ExperienceBuffer, live: LiveWeights): Promise<StepOutcome> {
    const startedAtMs = performance.now();
    const { engine, start, training } = this.#options;
    const { optimizer, baseline, parameters, reference, lessons } = training;
    const options = { engine, optimizer, buffer, baseline, parameters, reference, settings: start.settings };
    const report = await learnStep(options, this.#steps);
    if (report === null) return this.#finish(buffer, live);
    if (report.applied) {
      lessons.use(report.members.flatMap(({ rewards }) => [...rewards.keys()].flatMap(generationsOf)));
    }
    this.#steps += 1;
    if (!report.applied) this.#droppedSteps += 1;
    this.#owedRows = Math.max(0, this.#owedRows - report.rows);
    this.#lastMembers = report.members;
    const breach = this.#judge(report, live);
    this.#meter.add(report, performance.now() - startedAtMs);
    if (breach !== null) return this.#setBack(breach, buffer, live);
    return this.isOpen ? { type: 'open' } : this.#finish(buffer, live);
  }

  /** Forgets the open round and the steps that the guard knows, because other weights are in training now. */
  forget(): void {
    this.#owedRows = 0;
    this.#lastMembers = [];
    this.#meter.reset();
    this.#setbacks.reset();
  }

  /** A person lets a halted learner go on. */
  goOn(): void {
    this.#setbacks.goOn();
  }

  state(): RoundState {
    return {
      owedRows: this.#owedRows,
      steps: this.#steps,
      droppedSteps: this.#droppedSteps,
      rounds: this.#rounds,
      meter: this.#meter.state(),
      setbacks: this.#setbacks.state(),
    };
  }

  status(): RoundStatus {
    return {
      steps: this.#steps,
      droppedSteps: this.#droppedSteps,
      rounds: this.#rounds,
      setbacks: this.#setbacks.total,
      haltedBecause: this.#setbacks.haltedBecause,
      ...this.#meter.figures(),
    };
  }

  async #finish(buffer: ExperienceBuffer, live: LiveWeights): Promise<StepOutcome> {
    const breach = await this.#judgeLastStep(buffer, live);
    if (breach !== null) return this.#setBack(breach, buffer, live);
    this.#owedRows = 0;
    this.#rounds += 1;
    this.#setbacks.roundEnded();
    const moved = this.#meter.appliedSteps > 0;
    this.#meter.finishRound(live.version);
    return { type: 'finished', candidate: moved ? await this.#writeCandidate(buffer, live) : null };
  }

  async #writeCandidate(buffer: ExperienceBuffer, live: LiveWeights) {
    const { start, training, candidates } = this.#options;
    const candidate = await writeCandidate(join(candidates, candidateName(this.#rounds, this.#steps)), {
      start,
      training,
      parent: live.version,
      metrics: {
        steps: this.#steps,
        dropped_steps: this.#droppedSteps,
        rounds: this.#rounds,
        scores_seen: buffer.scoresSeen,
        ...this.#meter.metrics(),
      },
    });
    training.offered(candidate.adapterDigest);
    return candidate;
  }

  async #setBack(
    { check, message, numbers }: Breach,
    buffer: ExperienceBuffer,
    live: LiveWeights,
  ): Promise<StepOutcome> {
    const { training } = this.#options;
    this.#setbacks.add({ check, message, numbers });
    this.#rounds += 1;
    buffer.ledger.giveBack(training.lessons.all());
    await training.goBack(live.adapterPath);
    this.forget();
    const { inARow, total, outlook } = this.#setbacks;
    return {
      type: 'set_back',
      setback: {
        type: 'setback',
        check,
        liveVersion: live.version,
        message: `${message}. Training went back to version ${live.version}; ${outlook}`,
        numbers: { ...numbers, in_a_row: inARow, setbacks: total, steps: this.#steps, rounds: this.#rounds },
      },
    };
  }

  /** What the guard finds out of bounds with a step. */
  #judge(report: Pick<StepReport, 'members' | 'logprobs' | 'weights' | 'applied'>, live: LiveWeights): Breach | null {
    const { start, training } = this.#options;
    const isFirst = this.#meter.steps === 0;
    const figures = figuresOf(report, live.adapterDigest, training.parameters, isFirst, start.settings);
    // An imported version may legitimately be far from version 0, so its KL is not judged.
    return this.#setbacks.see(live.imported ? { ...figures, kl: null } : figures);
  }

  /** The figures of a step describe the weights before it, so the weights after the last step are measured here. */
  async #judgeLastStep(buffer: ExperienceBuffer, live: LiveWeights): Promise<Breach | null> {
    if (!this.#meter.lastApplied) return null;
    // After a restart the last step is not known: the completions with the newest feedback stand in for it.
    const members =
      this.#lastMembers.length > 0 ? this.#lastMembers : [...buffer.entries.values()].slice(-membersAfterRestart);
    if (members.length === 0) return null;
    const { engine, training } = this.#options;
    const logprobs = await evaluate(engine, members, training.parameters);
    return this.#judge({ members, logprobs, weights: [], applied: true }, live);
  }
}
