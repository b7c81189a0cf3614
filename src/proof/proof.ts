/** What a proof is asked and what it finds. */

import type { SerializedError } from '../errors.js';
import type { LearnerSettings } from '../learner/index.js';

export interface ProofTask {
  /** A folder that `loadPackage` opens. */
  readonly packageDirectory: string;
  /** The ONNX file that the package was made of; the package's own if it is that file. */
  readonly modelFile: string;
  /** Settings of the learner whose graph is compared too; null: nothing is learned. */
  readonly settings: LearnerSettings | null;
  readonly threads: number;
}

/** How far two computations of the same tokens are from each other. */
export interface Comparison {
  /** Largest difference of a token's log-probability, nats; of a training graph, per token of a completion. */
  readonly difference: number;
  /** The difference that may be rounding, nats. Two tokens that are nearer count as the same likeliest one. */
  readonly tolerance: number;
  /** Tokens behind which another one is the likeliest. */
  readonly otherTokens: number;
  /** Tokens that were compared. */
  readonly tokens: number;
}

export type Proof =
  | {
      readonly outcome: 'equal' | 'differs';
      /** The file that was written with other numbers, against the untouched one; null if none was written. */
      readonly numbers: Comparison | null;
      /** What is served, against the file with these numbers. */
      readonly serving: Comparison;
      /** What is trained, against the same; null if nothing is learned. */
      readonly learning: Comparison | null;
    }
  /** onnxruntime does not run the file as it is, so nothing tells what it computes. */
  | { readonly outcome: 'unjudged'; readonly reason: string };

/** The message that the process of a proof sends back. */
export type ProofReply = { readonly proof: Proof } | { readonly failure: SerializedError };
