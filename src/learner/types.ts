/** What the parts of the learner say to each other, and what the learner process says to the agent. */

import type { RewardSettings } from '../reward/index.js';
import type { Adapter } from '../versions/types.js';
import type { Device, EngineName } from './engine/names.js';

/** A completion to learn from: prompt and completion tokens (an end-of-sequence token included where it was sampled). */
export interface TrainingRow {
  readonly promptTokens: ArrayLike<number>;
  readonly completionTokens: ArrayLike<number>;
}

/** Trainable parameters by graph input name, updated in place by the optimizer. */
export type Parameters = Map<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

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
  /** ln pi(y|x) of each row, summed over completion tokens. */
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
  /** What stands in for the siblings of a completion that has none: a running mean of R_beta, or nothing. */
  readonly baseline: 'mean' | 'none';
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
  readonly threads: number;
  readonly engine: EngineName;
  readonly device: Device;
  /** Largest resident memory of the learner process, mapped weights included; null: no bound. */
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
  /** Whether the live version is a rollback: weights from before it are given up. Default false. */
  readonly rolledBack?: boolean;
  /** Whether somebody's data was erased while no learner ran. Default false. */
  readonly erased?: boolean;
  /** Whether everything that the store holds shall be learned from as if for the first time. Default false. */
  readonly relearn?: boolean;
}

export type LearnerCommand =
  | LearnerStart
  /** The head moved (a promotion or a rollback): train on from these weights. `adapterPath` null is the zero adapter. */
  | {
      readonly type: 'live';
      readonly version: number;
      readonly adapterPath: string | null;
      readonly rolledBack: boolean;
    }
  /** A version that was offered will never serve: where these weights come from it, go back to the live ones. */
  | { readonly type: 'rejected'; readonly adapterDigest: string }
  /** Somebody's data was erased: where these weights come from it, go back to the live ones. */
  | { readonly type: 'erased' }
  /** Learn from everything that the store still holds as if for the first time. */
  | { readonly type: 'relearn' }
  /** The store has changed: look again. */
  | { readonly type: 'changed' }
  /** Finish the step in flight, write the checkpoint, exit. */
  | { readonly type: 'stop' };

export type LearnerState = 'off' | 'starting' | 'idle' | 'training' | 'crashed' | 'stopping';

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
  readonly buffer: BufferFigures;
  /** Completions used in the last finished round, by staleness from 0. */
  readonly roundStaleness: readonly number[];
}

export type LearnerEvent =
  | { readonly type: 'ready'; readonly pid: number }
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
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

export type { Adapter };
