/** The status of a server. */

import type { OrUnknown } from './or-unknown.js';
import type { RolloutStatus, Version } from './versions.js';

/** State and figures of the learner. A figure that is not known yet is absent. */
export interface LearnerStatus {
  readonly state: OrUnknown<'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping' | 'paused' | 'halted'>;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  /** Rounds that went out of bounds. */
  readonly setbacks: number;
  /** Why it stopped itself; absent if it did not. */
  readonly haltedBecause?: string;
  readonly scoresSeen: number;
  readonly lastSequence: number;
  readonly loss?: number;
  readonly meanReward?: number;
  /** Nats per completion. */
  readonly kl?: number;
  readonly belowMeanH?: number;
  readonly gradientNorm?: number;
  readonly stepMs?: number;
  /** Cores that training used over its last 20 seconds; about 1 or more if nothing slows it down. */
  readonly processorShare?: number;
  /** How little of the processor it gets, and what to do; absent if it gets enough or needs none. */
  readonly starvedBecause?: string;
  readonly restarts: number;
  /** Engine and device that compute gradients, such as `onnx on cpu`; empty until the process has opened them. */
  readonly engine: string;
  /** Bytes of memory that it keeps to; absent before it has opened its engine, and if nothing bounds it. */
  readonly memoryBytes?: number;
  /** Scored generations that it cannot learn from and has set aside; absent from servers before 0.6. */
  readonly setAside?: {
    /** The package could not have written them. */
    readonly unfit: number;
    /** A pass over one of them alone exceeds the learner's memory. */
    readonly tooLarge: number;
    /** Training breaks on each of them, also when it is alone. */
    readonly broke: number;
  };
  /** Why the process could not start, or how it ended; absent once a later process works. */
  readonly failure?: {
    readonly code: string;
    /** What was wrong, and what to do. */
    readonly message: string;
  };
  /** What it can train on. */
  readonly buffer: {
    readonly completions: number;
    readonly groups: number;
    readonly pairs: number;
    /** Generations whose reward waits for a window to close. */
    readonly pending: number;
    readonly oldestAtMs?: number;
    /** The effective replay ratio. */
    readonly usesPerCompletion?: number;
    /** Number of completions by staleness in versions, from 0. */
    readonly staleness: readonly number[];
  };
  /** Number of completions in the last finished round by staleness, from 0. */
  readonly roundStaleness: readonly number[];
}

/** How the scores of one metric count. */
export interface MetricSettings {
  /** The score that maps to 0; larger than `max` if smaller scores are better. */
  readonly min: number;
  /** The score that maps to 1. */
  readonly max: number;
  /** 0 leaves the metric out. */
  readonly weight: number;
  /** How long the reward waits for scores, from the end of the generation; absent: without limit. */
  readonly windowMs?: number;
  /** The score that counts if none came within the window. */
  readonly defaultScore?: number;
  /** Whether scores count that come or change after the window. */
  readonly late: OrUnknown<'use' | 'ignore'>;
}

/** How the server folds scores into rewards. */
export interface RewardSettings {
  readonly metrics: Readonly<Record<string, MetricSettings>>;
  /** For metrics that are not listed. */
  readonly defaultMetric: MetricSettings;
  /** Trust by rater; the scores of a rater with trust 0 do not count. */
  readonly trust: Readonly<Record<string, number>>;
  /** Trust of raters that are not listed. */
  readonly defaultTrust: number;
}

/** The status of a reward model or function that scores in the background. */
export interface RaterStatus {
  /** The rater's name in its scores, such as `model:tldr-reward`. */
  readonly rater: string;
  readonly metric: string;
  readonly state: OrUnknown<'starting' | 'running' | 'crashed' | 'failed' | 'off'>;
  /** Completions that it has scored since the server started. */
  readonly scored: number;
  /** Completions for which it answered that it has no score. */
  readonly unscored: number;
  /** Completions on which it failed. They are asked for again when the server starts or the function has changed. */
  readonly setAside: number;
  /** Changes of the store that it has not read yet. */
  readonly behind: number;
  /** Restarts of its process. */
  readonly restarts: number;
  /** Its last failure since the server started; empty if there was none. */
  readonly failure: string;
}

/** Stored scores of one metric outside its range, because it had another range when they were stored. */
export interface ScoresOutsideRange {
  readonly metric: string;
  readonly scores: number;
  /** The smallest and the largest score of the metric. */
  readonly smallest: number;
  readonly largest: number;
  /** The range of the metric. */
  readonly lowest: number;
  readonly highest: number;
}

/** A snapshot of a server. */
export interface ServerStatus {
  readonly serverVersion: string;
  readonly packageName: string;
  readonly startedAtMs: number;
  readonly draining: boolean;
  readonly live: Version;
  readonly serving: {
    readonly runningSequences: number;
    readonly queuedRequests: number;
    readonly generatedTokens: number;
    readonly promptTokens: number;
    readonly steps: number;
    readonly heldVersions: readonly number[];
  };
  readonly replay: {
    readonly generations: number;
    readonly finished: number;
    readonly running: number;
    readonly aborted: number;
    readonly scores: number;
    readonly scoredGenerations: number;
    readonly lastSequence: number;
    readonly oldestGenerationAtMs?: number;
    /** Bytes on the disk: the file, its log and the index of the log. */
    readonly fileBytes: number;
    /** Bytes of the file that are in use. */
    readonly usedBytes: number;
    /** Bytes of the log. */
    readonly logBytes: number;
    /** Since when another program keeps a log that is too long from being emptied; absent: none does. */
    readonly logHeldSinceMs?: number;
    /**
     * Why the store does not answer, or takes no writes; absent while all is well. If it does not answer, the figures are
     * the last that are known, or zeros.
     */
    readonly failure?: { readonly code: string; readonly message: string };
    /** Bytes in use at which the store removes old generations; absent: no limit. */
    readonly maxBytes?: number;
    /** Age at which the store removes generations; absent: no limit. */
    readonly maxAgeMs?: number;
    readonly preferences: number;
    readonly edits: number;
  };
  readonly learner: LearnerStatus;
  /** How scores become rewards. */
  readonly reward: RewardSettings;
  /** Reward models and functions that score in the background. */
  readonly raters: readonly RaterStatus[];
  /** Scores outside the range of their metric that the store held when the server started. They do not count. */
  readonly scoresOutsideRange: readonly ScoresOutsideRange[];
  /** Exploration: while it is idle, the server draws more completions of answered prompts. No caller sees them. */
  readonly exploration: {
    /** Share of the requests with n = 1 whose prompts are explored; 0 is off. */
    readonly share: number;
    /** Number of completions per prompt. */
    readonly completions: number;
    /** Prompts that wait until the server is idle. */
    readonly waiting: number;
    /** Completions that were drawn and stored since the start. */
    readonly kept: number;
    /** Number of times that a request interrupted the drawing. */
    readonly gaveWay: number;
  };
  /** Absent before the first swap since the start. */
  readonly lastSwap?: {
    readonly version: number;
    readonly adapterDigest: string;
    readonly probeVerdict: OrUnknown<'proved' | 'inconclusive' | 'failed'>;
    readonly probeToNew: number;
    readonly probeToPrevious: number;
    readonly durationMs: number;
    readonly waitedMs: number;
  };
  readonly rollout: RolloutStatus;
}
