/** The server at a glance. */

import type { OrUnknown } from './or-unknown.js';
import type { RolloutStatus, Version } from './versions.js';

/** Figures of the learner; absent ones are not known yet. */
export interface LearnerStatus {
  readonly state: OrUnknown<'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping' | 'paused' | 'halted'>;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  /** Of these, rounds that went out of bounds. */
  readonly setbacks: number;
  /** Why it has stopped itself, where it has. */
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
  /** Cores that training got over its last 20 seconds; about 1 or more where nothing holds it up. */
  readonly processorShare?: number;
  readonly restarts: number;
  /** Engine and device that compute gradients, as `onnx on cpu`; empty until the process has opened them. */
  readonly engine: string;
  /** What it may train on. */
  readonly buffer: {
    readonly completions: number;
    readonly groups: number;
    readonly pairs: number;
    /** Generations whose reward waits for a window to close. */
    readonly pending: number;
    readonly oldestAtMs?: number;
    /** The replay ratio in effect. */
    readonly usesPerCompletion?: number;
    /** Completions by staleness in versions, from 0. */
    readonly staleness: readonly number[];
  };
  /** Completions used in the last finished round, by staleness from 0. */
  readonly roundStaleness: readonly number[];
}

/** How the scores of one metric count. */
export interface MetricSettings {
  /** The score that is worth 0; larger than `max` where smaller scores are better. */
  readonly min: number;
  /** The score that is worth 1. */
  readonly max: number;
  /** 0 leaves the metric out. */
  readonly weight: number;
  /** From the end of the generation; absent: for ever. */
  readonly windowMs?: number;
  /** The score when none came within the window. */
  readonly defaultScore?: number;
  /** Whether scores count that come, or change, after the window. */
  readonly late: OrUnknown<'use' | 'ignore'>;
}

/** How the server folds scores into rewards. */
export interface RewardSettings {
  readonly metrics: Readonly<Record<string, MetricSettings>>;
  /** Of metrics that are not named. */
  readonly defaultMetric: MetricSettings;
  /** By rater; 0: does not count. */
  readonly trust: Readonly<Record<string, number>>;
  /** Of raters that are not named. */
  readonly defaultTrust: number;
}

/** A reward model or function that rates in the background. */
export interface RaterStatus {
  /** The name under which its scores are kept, such as `model:tldr-reward`. */
  readonly rater: string;
  readonly metric: string;
  readonly state: OrUnknown<'starting' | 'running' | 'crashed' | 'off'>;
  /** Completions since the server started. */
  readonly scored: number;
  /** It had nothing to say, or what it said was no score. */
  readonly unscored: number;
  /** Changes of the store that it has not looked at yet. */
  readonly behind: number;
  /** Of its process. */
  readonly restarts: number;
  /** What went wrong last; empty: nothing since the server started. */
  readonly failure: string;
}

/** The server at a glance. */
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
    readonly fileBytes: number;
    /** Of these, in use. */
    readonly usedBytes: number;
    /** Bytes in use from which old generations make room; absent: no bound. */
    readonly maxBytes?: number;
    /** Age from which generations go; absent: no bound. */
    readonly maxAgeMs?: number;
    readonly preferences: number;
    readonly edits: number;
  };
  readonly learner: LearnerStatus;
  /** How scores become rewards. */
  readonly reward: RewardSettings;
  /** Reward models and functions that rate in the background. */
  readonly raters: readonly RaterStatus[];
  /** Further completions of prompts that were answered, drawn while the server is idle and shown to nobody. */
  readonly exploration: {
    /** Of the single requests; 0 is off. */
    readonly share: number;
    /** Per prompt. */
    readonly completions: number;
    /** Prompts that wait until no request runs. */
    readonly waiting: number;
    /** Completions drawn and kept since the start. */
    readonly kept: number;
    /** Times that drawing ended because a request came. */
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
