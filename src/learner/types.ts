/** The types that the parts of the learner share: rows, parameters, the training engine, and the settings. */

import type { AdapterTarget } from '../versions/index.js';
import type { Device, EngineName } from './engine/names.js';
import type { LinearForm } from './linear-form.js';

/** A completion to learn from: prompt and completion tokens, with the end-of-sequence token if it was sampled. */
export interface TrainingRow {
  readonly promptTokens: ArrayLike<number>;
  readonly completionTokens: ArrayLike<number>;
}

/** Trainable parameters by the name of their graph input; the optimizer updates them in place. */
export type Parameters = Map<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

/** The policy that h and KL are measured against. */
export interface Reference {
  /** Digest of its adapter. */
  readonly digest: string;
  readonly parameters: Parameters;
}

/** The result of a pass forward and back. */
export interface Differentiated {
  /** ln pi(y_i|x_i) of each row, in the same pass. */
  readonly logprobs: Float32Array;
  /** The gradient of each parameter, in its shape. */
  readonly gradients: Map<string, Float32Array>;
}

/**
 * A decoder whose adapters can be trained: log-probabilities and their gradients. An engine knows no objective; the
 * onnx and the tfjs engine are each other's oracle.
 */
export interface TrainingEngine {
  readonly name: string;
  /** The linear layers whose adapters it trains. */
  readonly targets: readonly AdapterTarget[];
  /** Whether a pass over one such row, by itself, keeps to the memory of the learner. Absent: no bound is known. */
  holds?(promptTokens: number, completionTokens: number): boolean;
  /** ln pi(y|x) of each row: over its completion tokens the sum, or the mean if the engine was opened for it. */
  logProbabilities(rows: readonly TrainingRow[], parameters: Parameters): Promise<Float32Array>;
  /**
   * Features of each prompt for V(x), [2 D]: the mean of its last hidden states (normalised, as the head reads them),
   * then the hidden state at its last token.
   * @param parameters of the base model, because features must not move with the policy
   */
  promptFeatures(prompts: readonly ArrayLike<number>[], parameters: Parameters): Promise<Float32Array[]>;
  /**
   * Gradients of -sum_i w_i ln pi(y_i|x_i) with the weights held, in one pass forward and back: to descend along them
   * raises ln pi of the rows whose weight is positive.
   * @param form the weights w, which may depend on the log-probabilities of this pass
   */
  differentiate(rows: readonly TrainingRow[], form: LinearForm, parameters: Parameters): Promise<Differentiated>;
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
  /** How the learning rate falls after the warm-up, to a tenth. */
  readonly learningRateSchedule: 'constant' | 'cosine' | 'linear';
  /** Optimizer steps from the end of the warm-up to that tenth. */
  readonly decaySteps: number;
  readonly clipNorm: number;
  readonly beta: number;
  /** beta of the first step; it moves geometrically to `beta`. */
  readonly betaInitial: number;
  /** Optimizer steps that this takes. */
  readonly betaSteps: number;
  /** Whether a completion's log-probability is the sum over its tokens, as in the paper, or their mean. */
  readonly logProbability: 'sum' | 'mean';
  /** Number of versions after which the live one becomes the reference; 0: version 0 stays the reference. */
  readonly referenceEvery: number;
  /** V(x) of a completion without siblings: by prompt, a running mean of R_beta, or 0. */
  readonly baseline: 'prompt' | 'mean' | 'none';
  readonly groupsPerStep: number;
  /** Largest number of members of one group in a step. */
  readonly groupSize: number;
  /** Largest number of times that each scored completion is used. */
  readonly replayRatio: number;
  /** Share of each batch from the newest groups. */
  readonly newestShare: number;
  /** Largest age in versions: older completions do not train. */
  readonly maxStaleness: number;
  /** New scored completions that start a training round. */
  readonly scoresPerRound: number;
  /** Share of prompts (by hash) that never train. */
  readonly holdoutShare: number;
  /**
   * Bound of two KLs in nats: of the live version to the reference, and of the weights in training to the live version.
   */
  readonly guardMaxKl: number;
  /** Bound of the log-probability that one round takes from completions of the live version, in nats per completion. */
  readonly guardMaxMove: number;
  /** Bound of the mean h of completions with negative weights, in units of 1 / beta nats. */
  readonly guardMaxPushDown: number;
  /** Number of dropped steps in a row that ends a round. */
  readonly guardMaxDropped: number;
  /** Number of rounds in a row that may go out of bounds before the learner stops itself. */
  readonly guardMaxSetbacks: number;
  readonly threads: number;
  readonly engine: EngineName;
  readonly device: Device;
  /** Largest memory of the learner process in bytes, mapped weights counted once; null: `engine/default-memory.ts`. */
  readonly memoryBytes: number | null;
  readonly seed: number;
}
