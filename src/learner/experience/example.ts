/** What the learner keeps of a generation while it reads the store: no text, and no list of log-probabilities. */

import type { Generation } from '../../replay/index.js';
import { type TrainingObstacle, type TrainingRules, trainingObstacles } from './eligibility.js';
import { completionOf } from './members.js';
import { type Misfit, misfitOf } from './misfit.js';

export interface Example extends Pick<Generation, 'id' | 'groupKey' | 'origin' | 'state' | 'finishedAtMs'> {
  readonly completion: ReturnType<typeof completionOf>;
  readonly obstacles: readonly TrainingObstacle[];
  /** What makes it unfit for the decoder; null if it fits, or if it belongs to another package. */
  readonly misfit: Misfit | null;
}

export function exampleOf(generation: Generation, rules: TrainingRules, liveVersion: number): Example {
  const { id, groupKey, origin, state, finishedAtMs } = generation;
  const obstacles = trainingObstacles(generation, rules, liveVersion);
  const misfit = obstacles.includes('unfit') ? misfitOf(generation, rules.decoder) : null;
  return { id, groupKey, origin, state, finishedAtMs, completion: completionOf(generation), obstacles, misfit };
}
