/**
 * V(x): the value that a completion without siblings is compared with.
 *
 * V must track the REGULARISED reward R_beta = R - beta h of the current policy, because with a mean of raw rewards the
 * policy comes to rest elsewhere (docs/learning.md). V shares no parameters with the policy.
 */

import type { Member } from '../experience/members.js';
import type { RidgeChoice } from './prompt-ridge.js';
import type { PromptSketch } from './prompt-sketch.js';

/** A completion with the reward and h that were last seen. */
export interface Observation {
  readonly groupKey: string;
  readonly prompt: PromptSketch;
  reward: number;
  h: number;
}

/** The window of completions that V(x) is fitted on, as plain JSON; its tensors lie beside it. */
export interface ObservedWindow {
  readonly beta: number;
  /** Number of completions in the fit, from the first on. */
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
  /** V(x) of each completion, before a step. The objective uses it for those that are alone in their group. */
  values(members: readonly Member[]): Promise<Float32Array>;
  /**
   * Learns from the completions of a step, those with siblings too.
   * @param h of each, under the policy before the step
   * @param beta of the step
   */
  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void;
  /** Ids of the generations that it remembers. */
  generationIds(): readonly string[];
  /** Forgets all generations but these: the store has no others. */
  retain(existing: ReadonlySet<string>): void;
  /** The state that {@link restore} continues from. */
  state(): BaselineState;
  restore(state: BaselineState): void;
}
