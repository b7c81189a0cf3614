/** What the policy is doing now, and its totals. */

/** Reuse of keys and values that were computed before. Counts start with the inference worker. */
export interface PrefixCacheStatus {
  /** Prompt tokens that were found. */
  readonly hitTokens: number;
  /** Prompt tokens that were looked up. */
  readonly lookedUpTokens: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Blocks of 32 tokens that were removed to make room for others. */
  readonly evictedBlocks: number;
}

/** Runs of the model while background requests had not ended. Counts start with the inference worker. */
export interface BackgroundRuns {
  /** Runs that computed something for background requests. */
  readonly own: number;
  /** Runs for other requests only. */
  readonly others: number;
  /** The part of `own` that was for requests that gave way before their end. */
  readonly lost: number;
}

export interface PolicyStatus {
  readonly liveVersion: number;
  readonly adapterDigest: string;
  /** Completions that are being decoded. */
  readonly runningSequences: number;
  /** Requests that have not started, without background requests, and the tokens of their prompts. */
  readonly queuedRequests: number;
  readonly queuedTokens: number;
  /** Background requests that have not ended. */
  readonly backgroundRequests: number;
  readonly backgroundRuns: BackgroundRuns;
  /** Requests for which nothing is computed, because their readers are slow. */
  readonly parkedRequests: number;
  /** Memory for keys and values: what is promised to requests, and the total. */
  readonly kvBytesUsed: number;
  readonly kvBytesBudget: number;
  readonly prefixCache: PrefixCacheStatus;
  readonly generatedTokens: number;
  readonly promptTokens: number;
  readonly steps: number;
  readonly heldVersions: readonly number[];
}
