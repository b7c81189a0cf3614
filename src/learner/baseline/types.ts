/**
 * What stands in for the mean of the siblings where a completion has none: V(x).
 *
 * V must track the REGULARISED reward R_beta = R - beta h of the current policy; a mean of raw rewards has another fixed
 * point (docs/learning.md). Its parameters share nothing with the policy.
 */

import type { Member } from '../experience/members.js';

export interface ValueBaseline {
  /** V(x) for each of these completions, before a step; used for those that are alone in their group. */
  values(members: readonly Member[]): Promise<Float32Array>;
  /**
   * Learns from a step's completions, whole groups too.
   * @param h of each, under the policy before the step
   * @param beta of the step
   */
  observe(members: readonly Member[], h: ArrayLike<number>, beta: number): void;
  /** Numbers from which {@link restore} continues. */
  state(): readonly number[];
  restore(state: readonly number[]): void;
}
