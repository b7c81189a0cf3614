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
