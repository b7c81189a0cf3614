/**
 * What the guard remembers: the figures of the most recent steps, how many rounds went out of bounds, and whether the
 * learner is halted for that. A round that ends in bounds resets the count of setbacks in a row, and so does `go_on`.
 */

import type { LearnerSettings } from '../types.js';
import { type Breach, judgeSteps, type StepFigures } from './guard.js';

/** What a checkpoint keeps; plain JSON. */
export interface SetbacksState {
  readonly total: number;
  readonly inARow: number;
  readonly haltedBecause: string | null;
  readonly steps: readonly StepFigures[];
}

/** Steps that are kept. No figure rests on more, unless steps have a single completion each. */
const stepsKept = 128;

export class Setbacks {
  readonly #settings: LearnerSettings;
  #total = 0;
  #inARow = 0;
  #haltedBecause: string | null = null;
  #steps: StepFigures[] = [];

  constructor(settings: LearnerSettings, state?: SetbacksState) {
    this.#settings = settings;
    if (state === undefined) return;
    this.#total = state.total;
    this.#inARow = state.inARow;
    this.#haltedBecause = state.haltedBecause;
    this.#steps = [...state.steps];
  }

  /** Rounds that went out of bounds. */
  get total(): number {
    return this.#total;
  }

  /** Rounds that went out of bounds since the last one that did not. */
  get inARow(): number {
    return this.#inARow;
  }

  /** Why the learner is halted; null if it is not. */
  get haltedBecause(): string | null {
    return this.#haltedBecause;
  }

  /** Takes a step in. Returns what is out of bounds after it. */
  see(step: StepFigures): Breach | null {
    this.#steps = [...this.#steps.slice(1 - stepsKept), step];
    return judgeSteps(this.#steps, this.#settings);
  }

  /** Forgets the steps, because other weights are in training now. */
  reset(): void {
    this.#steps = [];
  }

  /** Counts a round that ended in bounds. */
  roundEnded(): void {
    this.#inARow = 0;
  }

  /** Counts a round that went out of bounds. */
  add({ message }: Breach): void {
    this.reset();
    this.#total += 1;
    this.#inARow += 1;
    if (this.#inARow >= this.#settings.guardMaxSetbacks) this.#haltedBecause = message;
  }

  /** What follows the last setback, in words. */
  get outlook(): string {
    return this.#haltedBecause !== null
      ? 'nothing more is learned until the learner is resumed or the server is started again'
      : `the learner stops after ${this.#settings.guardMaxSetbacks} such rounds in a row, this was number ${this.#inARow}`;
  }

  /** A person lets the learner go on. */
  goOn(): void {
    this.#inARow = 0;
    this.#haltedBecause = null;
  }

  state(): SetbacksState {
    return { total: this.#total, inARow: this.#inARow, haltedBecause: this.#haltedBecause, steps: this.#steps };
  }
}
