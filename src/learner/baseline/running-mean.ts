/**
 * A running mean of R_beta over batches: one number for all prompts. Where prompts differ in how well one can do on them,
 * that is little better than no baseline.
 */

import type { Member } from '../experience/members.js';
import type { ValueBaseline } from './types.js';

export class RunningMeanBaseline implements ValueBaseline {
  readonly #decay: number;
  #mean = 0;
  #weight = 0;

  /** @param decay share of the old mean that a batch leaves, in [0, 1). Default 0.8: a little faster than the policy moves. */
  constructor(decay = 0.8) {
    this.#decay = decay;
  }

  /** The mean; 0 before the first observation. */
  get mean(): number {
    return this.#weight === 0 ? 0 : this.#mean / this.#weight;
  }

  async values(members: readonly Member[]): Promise<Float32Array> {
    return new Float32Array(members.length).fill(this.mean);
  }

  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void {
    let sum = 0;
    let count = 0;
    for (const [i, { group, reward }] of members.entries()) {
      // The rewards of a pair say how the two differ, not how good they are.
      if (group.kind === 'preference') continue;
      sum += reward - beta * (h[i] as number);
      count += 1;
    }
    const mean = sum / count;
    if (!Number.isFinite(mean)) return;
    // The weight undoes the start from zero, as Adam's bias correction does.
    this.#mean = this.#decay * this.#mean + (1 - this.#decay) * mean;
    this.#weight = this.#decay * this.#weight + (1 - this.#decay);
  }

  state(): readonly number[] {
    return [this.#mean, this.#weight];
  }

  restore([mean = 0, weight = 0]: readonly number[]): void {
    this.#mean = mean;
    this.#weight = weight;
  }
}
