/** Options of the policy, and their validation and defaults. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';
import type { HoneError } from '../errors.js';
import type { Package } from '../package/index.js';
import type { PolicyObserver } from './policy-observer.js';
import type { PolicyVersion } from './policy-version.js';
import type { WorkerHandle } from './worker-handle.js';

export interface PolicyOptions {
  readonly pkg: Package;
  /** The version that is live at the start. Later versions may have other ranks and scales. */
  readonly version: PolicyVersion;
  /** Other versions that are servable from the start. If version 0 is among them, it is always held. */
  readonly held?: readonly PolicyVersion[];
  /** Intra-op threads of onnxruntime. Default 1. */
  readonly threads?: number | undefined;
  /**
   * Whether idle threads of onnxruntime spin. That is faster on an idle machine, but much slower beside a busy process
   * such as the learner. Default false.
   */
  readonly spin?: boolean | undefined;
  /**
   * Most completions that are decoded together. Default 32: a step of a small decoder costs little more for 32 rows
   * than for 8.
   */
  readonly maxSequences?: number | undefined;
  /** Most requests that wait to start. Further ones are refused with `QUEUE_FULL`. Default 256. */
  readonly maxQueue?: number | undefined;
  /** Most prompt tokens of waiting requests. An empty queue accepts a request of any length. Default 262144. */
  readonly maxQueueTokens?: number | undefined;
  /**
   * Bytes of memory for keys and values. A completion starts only when the most that it can need is free. At least one
   * sequence of full context must fit. Default 1 GiB.
   */
  readonly kvMemoryBytes?: number | undefined;
  /** Most prompt tokens that are computed between two decode steps of a stream. Default 128. */
  readonly prefillChunk?: number | undefined;
  /**
   * Bytes of memory for earlier prompts and completions with which a later prompt may begin; 0 keeps none. Default 64
   * MiB.
   */
  readonly prefixCacheBytes?: number | undefined;
  /** How long a full stream may stay unread before it ends with `READER_STALLED`. Default 60 000. */
  readonly maxStalledMs?: number | undefined;
  /**
   * Most versions that are held at the same time, without version 0. A further swap waits for the oldest to drain.
   * Default 4.
   */
  readonly maxLiveVersions?: number | undefined;
  /** Whether versions other than the zero adapter can be served. If false, a step computes less. Default true. */
  readonly adapters?: boolean | undefined;
  /** A worker that was started earlier; the policy owns it from now on. Default: the policy starts one. */
  readonly worker?: WorkerHandle | undefined;
  readonly observer?: PolicyObserver | undefined;
  /** Called after the worker has crashed, before it restarts. */
  readonly onRestart?: ((error: HoneError) => void) | undefined;
  /** Called once when the worker has crashed too often to be restarted. The process should then end. */
  readonly onFailed?: ((error: HoneError) => void) | undefined;
}

/** How long a full stream may stay unread, in milliseconds. */
export const defaultMaxStalledMs = 60_000;

const schema = z.object({
  threads: z.int().min(1).max(256).default(1),
  spin: z.boolean().default(false),
  maxSequences: z.int().min(1).max(1024).default(32),
  maxQueue: z.int().min(1).max(1_000_000).default(256),
  maxQueueTokens: z.int().min(1).default(262_144),
  kvMemoryBytes: z.int().min(1).default(1_073_741_824),
  maxStalledMs: z.int().min(1).max(2_147_483_647).default(defaultMaxStalledMs),
  prefillChunk: z.int().min(1).max(4096).default(128),
  prefixCacheBytes: z.int().min(0).default(67_108_864),
  adapters: z.boolean().default(true),
  maxLiveVersions: z.int().min(2).max(64).default(4),
});

/** The validated settings of {@link PolicyOptions}, with defaults filled in. */
export type PolicySettings = z.output<typeof schema>;

/** @throws HoneError `INVALID_OPTIONS` */
export function checkPolicyOptions(options: PolicyOptions): PolicySettings {
  return checkSettings('policy', schema, options);
}
