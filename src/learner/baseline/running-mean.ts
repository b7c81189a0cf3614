/**
 * A running mean of R_beta over batches: one number for all prompts. If some prompts allow higher rewards than others,
 * it is little better than no baseline.
 */

import type { Member } from '../experience/members.js';
import type { BaselineState, ValueBaseline } from './types.js';

/** An exponential mean, corrected for its start from zero as Adam's moments are. */
export class RunningMean {
  readonly #decay: number;
  #sum = 0;
  #weight = 0;

  /**
   * @param decay share of the old mean that stays after a batch, in [0, 1). Default 0.8: a little faster than the
   * policy.
   */
  constructor(decay = 0.8) {
    this.#decay = decay;
  }

  /** The mean; 0 before the first batch. */
  get value(): number {
    return this.#weight === 0 ? 0 : this.#sum / this.#weight;
  }

  /** Adds the mean of a batch. An empty batch, or one with a number that is not finite, changes nothing. */
  addMeanOf(batch: readonly number[]): void {
    const mean = batch.reduce((sum, value) => sum + value, 0) / batch.length;
    if (!Number.isFinite(mean)) return;
    this.#sum = this.#decay * this.#sum + (1 - this.#decay) * mean;
    this.#weight = this.#decay * this.#weight + (1 - this.#decay);
  }

  state(): readonly number[] {
    return [this.#sum, this.#weight];
  }

  restore([sum = 0, weight = 0]: readonly number[]): void {
    this.#sum = sum;
    this.#weight = weight;
  }
}

export class RunningMeanBaseline implements ValueBaseline {
  readonly #mean = new RunningMean();

  async values(members: readonly Member[]): Promise<Float32Array> {
    return new Float32Array(members.length).fill(this.#mean.value);
  }

  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void {
    this.#mean.addMeanOf(
      // The rewards of a preference pair state how the two differ, not how good they are.
      members.flatMap(({ group, reward }, i) => (group.kind === 'scores' ? [reward - beta * (h[i] as number)] : [])),
    );
  }

  generationIds(): readonly string[] {
    return [];
  }

  retain(): void {}

  state(): BaselineState {
    return { numbers: this.#mean.state() };
  }

  restore({ numbers }: BaselineState): void {
    this.#mean.restore(numbers);
  }
}
