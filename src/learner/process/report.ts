/** What the learner is doing, as status shows it. */

import type { BufferFigures, LearnerProgress } from '../types.js';

export interface LearnerReport extends Omit<LearnerProgress, 'state'> {
  readonly state: LearnerProgress['state'] | 'paused';
  /** Times the process died and was started again. */
  readonly restarts: number;
  /** Engine and device that compute gradients, as `onnx on cpu`; empty until the process has opened them. */
  readonly engine: string;
}

const emptyBuffer: BufferFigures = {
  completions: 0,
  groups: 0,
  pairs: 0,
  pending: 0,
  oldestAtMs: null,
  usesPerCompletion: null,
  staleness: [],
};

/** The figures of a learner that has done nothing yet. */
export const nothingLearned: Omit<LearnerProgress, 'state'> = {
  steps: 0,
  droppedSteps: 0,
  rounds: 0,
  setbacks: 0,
  haltedBecause: null,
  scoresSeen: 0,
  lastSequence: 0,
  loss: null,
  meanReward: null,
  kl: null,
  belowMeanH: null,
  gradientNorm: null,
  stepMs: null,
  buffer: emptyBuffer,
  roundStaleness: [],
};
