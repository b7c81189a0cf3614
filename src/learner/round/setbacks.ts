/**
 * What the guard remembers: the figures of late, how often training went out of bounds, and whether the learner has stopped
 * itself for it. Rounds that end well in between start the count anew; a person who says go on does, too.
 */

import type { LearnerSettings } from '../types.js';
import { type Breach, judgeSteps, type StepFigures } from './guard.js';

/** What a checkpoint keeps of it; plain JSON. */
export interface SetbacksState {
  readonly total: number;
  readonly inARow: number;
  readonly haltedBecause: string | null;
  readonly steps: readonly StepFigures[];
}

/** Steps that are kept: more than any figure rests on, but for steps of a single completion. */
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

  /** Those since the last round that ended well. */
  get inARow(): number {
    return this.#inARow;
  }

  /** Why nothing more is learned until somebody says go on; null where it is. */
  get haltedBecause(): string | null {
    return this.#haltedBecause;
  }

  /** Looks at a step. Returns what is out of bounds with it. */
  see(step: StepFigures): Breach | null {
    this.#steps = [...this.#steps.slice(1 - stepsKept), step];
    return judgeSteps(this.#steps, this.#settings);
  }

  /** The weights are others now. */
  reset(): void {
    this.#steps = [];
  }

  /** A round ended in bounds. */
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

  /** What comes after the last of them, in words. */
  get outlook(): string {
    return this.#haltedBecause !== null
      ? 'nothing more is learned until the learner is resumed or the server is started again'
      : `the learner stops after ${this.#settings.guardMaxSetbacks} such rounds in a row, this was number ${this.#inARow}`;
  }

  /** Somebody said go on. */
  goOn(): void {
    this.#inARow = 0;
    this.#haltedBecause = null;
  }

  state(): SetbacksState {
    return { total: this.#total, inARow: this.#inARow, haltedBecause: this.#haltedBecause, steps: this.#steps };
  }
}
