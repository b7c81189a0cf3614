/** The state and the figures of the learner: what its process reports, and what status shows. */

import type { SetAsideCounts } from '../quarantine/set-aside.js';

/** `halted`: the learner stopped itself after several rounds in a row went out of bounds; it waits for `go_on`. */
export type LearnerState = 'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping' | 'halted';

/** What the learner holds of the store, and how old it is. */
export interface BufferStatus {
  /** Completions that may train, in groups by prompt and in pairs. */
  readonly completions: number;
  readonly groups: number;
  readonly pairs: number;
  /** Completions judged since the last round began: `scoresPerRound` of them start the next. */
  readonly fresh: number;
  /** Generations whose reward waits for a window to close. */
  readonly pending: number;
  /** When the oldest completion was admitted, milliseconds since 1970. */
  readonly oldestAtMs: number | null;
  /** Mean number of times that each completion was used: the replay ratio in effect. */
  readonly usesPerCompletion: number | null;
  /** Completions by staleness: the live version's number minus that of the version that wrote them, from 0. */
  readonly staleness: readonly number[];
}

/** Figures of the last step and round, for status and events. */
export interface LearnerProgress {
  readonly state: LearnerState;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  /** Rounds that went out of bounds and made no candidate; `rounds` counts them too. */
  readonly setbacks: number;
  /** Why the learner is halted; null if it is not. */
  readonly haltedBecause: string | null;
  /** Scored completions read from the store so far. */
  readonly scoresSeen: number;
  readonly lastSequence: number;
  readonly loss: number | null;
  readonly meanReward: number | null;
  /**
   * KL to the reference, nats per completion: the mean of ln pi - ln pi_ref over completions of the last round that the
   * newest version among them wrote, so of the version before the round's candidate.
   */
  readonly kl: number | null;
  /** Mean h of the below-mean completions; beyond +-10 nats is a sign of trouble. */
  readonly belowMeanH: number | null;
  readonly gradientNorm: number | null;
  readonly stepMs: number | null;
  /** Processor time that the process has used since its start. */
  readonly processorMs?: number;
  /** Cores that training got over its last 20 seconds; absent before that, and if another device computes the steps. */
  readonly processorShare?: number;
  readonly buffer: BufferStatus;
  /** Scored records that it cannot learn from, by cause. */
  readonly setAside: SetAsideCounts;
  /** Completions used in the last finished round, by staleness from 0. */
  readonly roundStaleness: readonly number[];
}

/** What the server knows of its learner: the last progress of the process, and the process itself. */
export interface LearnerStatus extends Omit<LearnerProgress, 'state'> {
  readonly state: LearnerProgress['state'] | 'paused';
  /** How little processor time it gets, and what to do; null if it gets enough or needs none. */
  readonly starvedBecause: string | null;
  /** Times the process died and was started again. */
  readonly restarts: number;
  /** Engine and device that compute gradients, as `onnx on cpu`; empty until the process has opened them. */
  readonly engine: string;
  /** Bytes that the process keeps to; null if nothing bounds it, or if it has not opened its engine. */
  readonly memoryBytes: number | null;
  /**
   * Why the process could not start, or how it ended; null once a later one works. A process that has taken a step, or
   * lived for a minute, works.
   */
  readonly failure: LearnerFailure | null;
}

/** What keeps the learner from working. */
export interface LearnerFailure {
  /** A code of `src/errors.ts`. */
  readonly code: string;
  /** What was wrong, and what to do. */
  readonly message: string;
}

const emptyBuffer: BufferStatus = {
  completions: 0,
  groups: 0,
  pairs: 0,
  fresh: 0,
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
  setAside: { unfit: 0, too_large: 0, broke: 0 },
  roundStaleness: [],
};
