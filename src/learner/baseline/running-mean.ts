/**
 * A running mean of R_beta over batches: one number for all prompts. Where prompts differ in how well one can do on them,
 * that is little better than no baseline.
 */

import type { Member } from '../experience/members.js';
import type { BaselineState, ValueBaseline } from './types.js';

/** An exponential mean that undoes its start from zero, as Adam's bias correction does. */
export class RunningMean {
  readonly #decay: number;
  #sum = 0;
  #weight = 0;

  /** @param decay share of the old mean that a batch leaves, in [0, 1). Default 0.8: a little faster than the policy moves. */
  constructor(decay = 0.8) {
    this.#decay = decay;
  }

  /** 0 before the first number. */
  get value(): number {
    return this.#weight === 0 ? 0 : this.#sum / this.#weight;
  }

  /** Takes the mean of a batch; an empty batch and numbers that are not finite change nothing. */
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
      // The rewards of a pair say how the two differ, not how good they are.
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
