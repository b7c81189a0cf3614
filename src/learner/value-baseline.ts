/**
 * V(x) for completions without a scored sibling: what stands in for the mean of the group.
 *
 * V must track the REGULARISED reward R_beta = R - beta h of the current policy; a mean of raw rewards has another fixed
 * point. The implementation here knows one number for all prompts. Where prompts differ in how well one can do on them,
 * that is little better than no baseline, and several completions per prompt are the remedy; an estimate on prompt
 * features fits behind the same interface.
 */

/** A completion as V sees it after a step. */
export interface ValueObservation {
  readonly groupKey: string;
  readonly promptTokens: ArrayLike<number>;
  /** R_beta of the completion under the policy of the step. */
  readonly residual: number;
}

export interface ValueBaseline {
  /** V(x), used for completions that are alone in their group. */
  value(groupKey: string, promptTokens: ArrayLike<number>): number;
  /** Learns from a step's completions, whole groups too. */
  observe(observations: readonly ValueObservation[]): void;
  /** Numbers from which {@link restore} continues. */
  state(): readonly number[];
  restore(state: readonly number[]): void;
}

/** A running mean of R_beta over batches. */
export class RunningMeanBaseline implements ValueBaseline {
  readonly #decay: number;
  #mean = 0;
  #weight = 0;

  /** @param decay share of the old mean that a batch leaves, in [0, 1). Default 0.8: a little faster than the policy moves. */
  constructor(decay = 0.8) {
    this.#decay = decay;
  }

  value(): number {
    return this.#weight === 0 ? 0 : this.#mean / this.#weight;
  }

  observe(observations: readonly ValueObservation[]): void {
    if (observations.length === 0) return;
    const mean = observations.reduce((sum, { residual }) => sum + residual, 0) / observations.length;
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
