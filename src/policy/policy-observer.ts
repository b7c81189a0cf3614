/** Reports that the policy makes while it works, for metrics and tests. */

import type { SwapReport } from './policy-version.js';

/** A request that left the queue. Background requests are not reported. */
export interface StartReport {
  /** From the submission to the first chunk of the prompt. */
  readonly queuedMs: number;
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values came from the prefix cache. */
  readonly cachedPromptTokens: number;
}

/** One turn of the inference worker: chunks of prompts, then one decode step of every group of rows. */
export interface TurnReport {
  /** Time spent on prompts, and their tokens. */
  readonly prefillMs: number;
  readonly prefillTokens: number;
  /** Time spent on decode steps, their rows, and the number of groups with one step each. */
  readonly decodeMs: number;
  readonly decodedRows: number;
  readonly groups: number;
  /** How long a swap delayed the turn; 0 without a swap. */
  readonly swapMs: number;
}

/** Called on the event loop; must not throw. */
export interface PolicyObserver {
  onStarted?(report: StartReport): void;
  /** Called after each turn that ran the model. */
  onTurn?(report: TurnReport): void;
  onSwap?(report: SwapReport): void;
}
