/**
 * What stands in for the mean of the siblings where a completion has none: V(x).
 *
 * V must track the REGULARISED reward R_beta = R - beta h of the current policy; a mean of raw rewards has another fixed
 * point (docs/learning.md). Its parameters share nothing with the policy.
 */

import type { Member } from '../experience/members.js';
import type { RidgeChoice } from './prompt-ridge.js';
import type { PromptSketch } from './prompt-sketch.js';

/** A completion as it was last seen. */
export interface Observation {
  readonly groupKey: string;
  readonly prompt: PromptSketch;
  reward: number;
  h: number;
}

/** Completions that V(x) was fitted on; plain JSON, beside its tensors. */
export interface ObservedWindow {
  readonly beta: number;
  /** The first so many are in the fit. */
  readonly fitted: number;
  readonly choice: RidgeChoice;
  /** Group key and number of distinct tokens of each prompt. */
  readonly prompts: readonly (readonly [string, number])[];
  /** Generation, index of its prompt, reward, h as last seen; oldest first. */
  readonly observations: readonly (readonly [string, number, number, number])[];
}

export interface BaselineState {
  readonly numbers: readonly number[];
  readonly window?: ObservedWindow;
  readonly tensors?: ReadonlyMap<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;
}

export interface ValueBaseline {
  /** V(x) for each of these completions, before a step; used for those that are alone in their group. */
  values(members: readonly Member[]): Promise<Float32Array>;
  /**
   * Learns from a step's completions, whole groups too.
   * @param h of each, under the policy before the step
   * @param beta of the step
   */
  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void;
  /** Generations that it remembers one by one. */
  generationIds(): readonly string[];
  /** Forgets the others: they are gone from the store. */
  retain(existing: ReadonlySet<string>): void;
  /** What {@link restore} continues from. */
  state(): BaselineState;
  restore(state: BaselineState): void;
}
