/** What the parts of the learner say to each other, and what the learner process says to the agent. */

import type { RewardSettings } from '../reward/index.js';
import type { Adapter } from '../versions/index.js';
import type { Device, EngineName } from './engine/names.js';

/** A completion to learn from: prompt and completion tokens (an end-of-sequence token included where it was sampled). */
export interface TrainingRow {
  readonly promptTokens: ArrayLike<number>;
  readonly completionTokens: ArrayLike<number>;
}

/** Trainable parameters by graph input name, updated in place by the optimizer. */
export type Parameters = Map<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

/** The policy that h and KL are measured against. */
export interface Reference {
  /** Digest of its adapter. */
  readonly digest: string;
  readonly parameters: Parameters;
}

/** Completions of CoPG groups, flat: rows of one prompt share a group number; group numbers need not be adjacent. */
export interface CopgBatch {
  readonly rows: readonly TrainingRow[];
  /** Per row. */
  readonly groups: ArrayLike<number>;
  /** Per row: the sequence score R(y), summed-KL scale (rewards in [0, 1] by default). */
  readonly rewards: ArrayLike<number>;
  /** Per row: ln pi_ref(y|x), summed over completion tokens. */
  readonly referenceLogprobs: ArrayLike<number>;
  /** Per row: V(x), used where the row is alone in its group; ignored in larger groups. */
  readonly values: ArrayLike<number>;
  readonly beta: number;
}

export interface CopgResult {
  /** Mean over prompts of the mean over members of -stop(A_i K/(K-1)) ln pi_i: its gradient is the update; its value says little. */
  readonly surrogate: number;
  /** 1/(2 beta) * mean squared residual difference: the paper's loss, for logging. */
  readonly loss: number;
  /** Per row: ln pi(y|x). */
  readonly logprobs: Float32Array;
  /** Per row: A_i K/(K-1). */
  readonly weights: Float32Array;
  readonly gradients: Map<string, Float32Array>;
}

/** Loss and gradients of a batch: each engine is the other's oracle. */
export interface TrainingEngine {
  readonly name: string;
  /** ln pi(y|x) of each row: over its completion tokens the sum, or the mean where the engine was opened for it. */
  logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array>;
  /**
   * What V(x) reads of each prompt: the mean of its last hidden states (normalised, as the head reads them), then the one
   * at its last token; 2 D numbers.
   * @param parameters of the base model: features must not move with the policy
   */
  promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]>;
  copg(batch: CopgBatch, parameters: Parameters): Promise<CopgResult>;
  /** Gradients of -sum_i weights_i ln pi(y_i|x): the pass of any objective whose weights are known, by parameter. */
  policyGradient(
    rows: readonly TrainingRow[],
    weights: ArrayLike<number>,
    parameters: Parameters,
  ): Promise<Map<string, Float32Array>>;
  close(): Promise<void>;
}

/** Settings of the learner; defaults are argued in `docs/learning.md`. */
export interface LearnerSettings {
  readonly rank: number;
  /** lora_alpha / r. */
  readonly scale: number;
  readonly learningRate: number;
  readonly adamBeta1: number;
  readonly adamBeta2: number;
  readonly warmupSteps: number;
  /** How the learning rate goes down after the warm-up, to a tenth. */
  readonly learningRateSchedule: 'constant' | 'cosine' | 'linear';
  /** Optimizer steps from the end of the warm-up to that tenth. */
  readonly decaySteps: number;
  readonly clipNorm: number;
  readonly beta: number;
  /** beta of the first step; it goes geometrically to `beta`. */
  readonly betaInitial: number;
  /** Optimizer steps that this takes. */
  readonly betaSteps: number;
  /** Whether a completion's log-probability is the sum over its tokens, the paper's, or their mean. */
  readonly logProbability: 'sum' | 'mean';
  /** Versions after which the live one becomes the reference; 0: version 0 stays it. */
  readonly referenceEvery: number;
  /** What stands in for the siblings of a completion that has none: V(x) by prompt, a running mean of R_beta, nothing. */
  readonly baseline: 'prompt' | 'mean' | 'none';
  readonly groupsPerStep: number;
  /** Largest number of members of one group in a step. */
  readonly groupSize: number;
  /** Times each scored completion is used, at most. */
  readonly replayRatio: number;
  /** Share of each batch from the newest groups. */
  readonly newestShare: number;
  /** Completions generated more than so many versions ago are left out. */
  readonly maxStaleness: number;
  /** New scored completions that start a training round. */
  readonly scoresPerRound: number;
  /** Share of prompts (by hash) that never train. */
  readonly holdoutShare: number;
  /** Bound of the KL of the live version to the reference, and of the weights in training to the live version, in nats. */
  readonly guardMaxKl: number;
  /** Bound of what one round takes from completions of the live version, nats per completion. */
  readonly guardMaxMove: number;
  /** Bound of the mean h of completions that are pushed down, in units of 1 / beta nats. */
  readonly guardMaxPushDown: number;
  /** Dropped steps in a row that end a round. */
  readonly guardMaxDropped: number;
  /** Rounds in a row that may go out of bounds before the learner stops itself. */
  readonly guardMaxSetbacks: number;
  readonly threads: number;
  readonly engine: EngineName;
  readonly device: Device;
  /** Largest memory of the learner process, mapped weights counted once; null: no bound. */
  readonly memoryBytes: number | null;
  readonly seed: number;
}

/** How the agent starts the learner process. Messages are plain JSON over the child's channel. */
export interface LearnerStart {
  readonly type: 'start';
  readonly packageDirectory: string;
  readonly packageDigest: string;
  readonly replayPath: string;
  /** Checkpoint and candidates live here. */
  readonly directory: string;
  readonly settings: LearnerSettings;
  /** How scores become rewards. Default: all metrics and raters alike, scores from 0 to 1. */
  readonly reward?: RewardSettings;
  readonly liveVersion: number;
  /** Where the live version's adapter lies; null is the zero adapter. */
  readonly adapterPath: string | null;
  /** Recorded for that version: files with other weights are refused. */
  readonly adapterDigest: string;
  /** Milliseconds between checkpoints within a round. Default 5000. */
  readonly checkpointEveryMs?: number;
  /** Milliseconds between reports within a round, at least; 0: one for each step. Default 250. */
  readonly reportEveryMs?: number;
  /** Whether a learner that has stopped itself goes on: somebody said so. Default false. */
  readonly goOn?: boolean;
  /** Whether the live version is a rollback: weights from before it are given up. Default false. */
  readonly rolledBack?: boolean;
  /** Whether the live version goes back to an import: nobody knows how far from version 0 it should be. Default false. */
  readonly imported?: boolean;
  /** Whether everything that the store holds shall be learned from as if for the first time. Default false. */
  readonly relearn?: boolean;
}

/** The version that serves, as the learner is told of it. */
export type LiveHead = Omit<Extract<LearnerCommand, { readonly type: 'live' }>, 'type'>;

export type LearnerCommand =
  | LearnerStart
  /** The head moved (a promotion or a rollback): train on from these weights. `adapterPath` null is the zero adapter. */
  | {
      readonly type: 'live';
      readonly version: number;
      readonly adapterPath: string | null;
      /** Recorded for that version: files with other weights are refused. */
      readonly adapterDigest: string;
      readonly rolledBack: boolean;
      /** As {@link LearnerStart.imported}. */
      readonly imported?: boolean;
    }
  /** A version that was offered will never serve: where these weights come from it, go back to the live ones. */
  | { readonly type: 'rejected'; readonly adapterDigest: string }
  /** Somebody's data was erased: where these weights come from it, go back to the live ones. */
  | { readonly type: 'erased' }
  /** Learn from everything that the store still holds as if for the first time. */
  | { readonly type: 'relearn' }
  /** The store has changed: look again. */
  | { readonly type: 'changed' }
  /** A learner that has stopped itself goes on. */
  | { readonly type: 'go_on' }
  /** Finish the step in flight, write the checkpoint, exit. */
  | { readonly type: 'stop' };

/** What computes gradients, and where. */
export interface EngineReport {
  readonly engine: EngineName;
  /** An execution provider, or a backend of TensorFlow.js. */
  readonly device: string;
  /** How it was chosen, in words. */
  readonly detail: string;
  /** Milliseconds of a step on each device that was timed. */
  readonly stepMs: Readonly<Record<string, number>>;
}

/** `halted`: it has stopped itself, for rounds in a row went out of bounds, and waits until somebody says go on. */
export type LearnerState = 'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping' | 'halted';

/** What may be out of bounds; `live`: it is the version that serves, not what was trained on from it. */
export type GuardCheck = 'weights' | 'dropped' | 'live' | 'moved' | 'far' | 'pushed_down';

/** What the learner holds of the store, and how old it is. */
export interface BufferFigures {
  /** Completions that may train, in groups by prompt and in pairs. */
  readonly completions: number;
  readonly groups: number;
  readonly pairs: number;
  /** Generations whose reward waits for a window to close. */
  readonly pending: number;
  /** When the oldest of them was admitted, milliseconds since 1970. */
  readonly oldestAtMs: number | null;
  /** Mean times that each was used: the replay ratio in effect. */
  readonly usesPerCompletion: number | null;
  /** Completions by staleness: the live version's number minus that of the version that wrote them, from 0. */
  readonly staleness: readonly number[];
}

/** Numbers of the last step and round, for status and events. */
export interface LearnerProgress {
  readonly state: LearnerState;
  readonly steps: number;
  readonly droppedSteps: number;
  readonly rounds: number;
  /** Of these, rounds that went out of bounds: they made no candidate. */
  readonly setbacks: number;
  /** Why it has stopped itself; null where it has not. */
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
  /** Cores that training got, over its last 20 seconds; absent before so much of it, and where steps are computed elsewhere. */
  readonly processorShare?: number;
  readonly buffer: BufferFigures;
  /** Completions used in the last finished round, by staleness from 0. */
  readonly roundStaleness: readonly number[];
}

export type LearnerEvent =
  | { readonly type: 'ready'; readonly pid: number }
  /** The training engine is open. */
  | { readonly type: 'engine'; readonly report: EngineReport }
  | { readonly type: 'progress'; readonly progress: LearnerProgress }
  /** A trained adapter lies in `directory` (PEFT layout); the agent adopts it as a version or rejects it. */
  | {
      readonly type: 'candidate';
      readonly directory: string;
      readonly adapterDigest: string;
      readonly parent: number;
      readonly metrics: Readonly<Record<string, number>>;
      /** Generations that it was learned from, on top of the version that serves. */
      readonly lessons: readonly string[];
    }
  /** A round went out of bounds: the weights are those of the live version again. */
  | {
      readonly type: 'setback';
      readonly check: GuardCheck;
      /** The version that was live. */
      readonly liveVersion: number;
      /** What, with which figures, what became of it, and what to do. */
      readonly message: string;
      readonly numbers: Readonly<Record<string, number>>;
    }
  /** Training has begun to get too little of the processor. */
  | {
      readonly type: 'starved';
      /** How little, why, and what to do. */
      readonly message: string;
      readonly numbers: Readonly<Record<string, number>>;
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

export type { Adapter, Device, EngineName };
