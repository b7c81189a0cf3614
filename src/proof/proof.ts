/** What a proof is asked and what it finds. */

import type { SerializedError } from '../errors.js';
import type { LearnerSettings } from '../learner/index.js';

export interface ProofTask {
  /** A folder that `loadPackage` opens. */
  readonly packageDirectory: string;
  /** The ONNX file that tells what the model computes: the one that the package was made of. */
  readonly modelFile: string;
  /** Settings of the learner whose graph is compared too; null: nothing is learned. */
  readonly settings: LearnerSettings | null;
  readonly threads: number;
}

/** Differences that the arithmetic of a file may make, nats. */
export interface Tolerance {
  /** Of the log-probability of a token. */
  readonly logprob: number;
  /** Two tokens that are nearer to each other than this count as the same likeliest one. */
  readonly tie: number;
}

/** How far one of Hone's graphs is from the file. */
export interface Comparison {
  /** Largest difference of a token's log-probability, nats; of a training graph, per token of a completion. */
  readonly difference: number;
  readonly tolerance: Tolerance;
  /** Tokens whose likeliest successor is another one, by more than a tie. */
  readonly otherTokens: number;
  /** Tokens that were compared. */
  readonly tokens: number;
}

export type Proof =
  | { readonly outcome: 'equal' | 'differs'; readonly serving: Comparison; readonly learning: Comparison | null }
  /** onnxruntime does not run the file as it is, so nothing tells what it computes. */
  | { readonly outcome: 'unjudged'; readonly reason: string };

/** The message that the process of a proof sends back. */
export type ProofReply = { readonly proof: Proof } | { readonly failure: SerializedError };
