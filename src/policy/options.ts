/** Options of the policy: raw -> checked -> complete. */

import { z } from 'zod';
import { checkSettings } from '../check-settings.js';
import type { HoneError } from '../errors.js';
import type { Package } from '../package/index.js';
import type { PolicyObserver } from './policy-observer.js';
import type { PolicyVersion } from './policy-version.js';
import type { WorkerHandle } from './worker-handle.js';

/** How a policy is opened. */
export interface PolicyOptions {
  readonly pkg: Package;
  /** Live from the start; ranks and scales of later versions may differ. */
  readonly version: PolicyVersion;
  /** Versions that are servable from the start besides the live one; a version 0 among them is held for good. */
  readonly held?: readonly PolicyVersion[];
  /** Intra-op threads of onnxruntime. Default 1. */
  readonly threads?: number | undefined;
  /** Whether idle threads of onnxruntime spin: faster alone, ruinous beside a busy neighbour such as the learner. Default false. */
  readonly spin?: boolean | undefined;
  /** Completions that are decoded at once. Default 32: a step of a small decoder costs little more for 32 rows than for 8. */
  readonly maxSequences?: number | undefined;
  /** Requests that wait to be started; further ones are refused with `QUEUE_FULL`. Default 256. */
  readonly maxQueue?: number | undefined;
  /** Prompt tokens of the requests that wait; one request alone is always taken. Default 262144. */
  readonly maxQueueTokens?: number | undefined;
  /**
   * Memory for keys and values, in bytes. Nothing starts before the most that it can come to need is free. At least one
   * sequence of full context must fit. Default 1 GiB.
   */
  readonly kvMemoryBytes?: number | undefined;
  /** Tokens of prompts that are computed between two decode steps of a stream. Default 128. */
  readonly prefillChunk?: number | undefined;
  /** Memory for prompts and completions that later prompts may begin with; 0 keeps none. Default 64 MiB. */
  readonly prefixCacheBytes?: number | undefined;
  /** How long a reader may leave a full stream unread before it ends with `READER_STALLED`. Default 60 000. */
  readonly maxStalledMs?: number | undefined;
  /** Versions held at once, version 0 not counted; a further swap waits for the oldest to drain. Default 4. */
  readonly maxLiveVersions?: number | undefined;
  /** Whether versions other than the zero adapter can be served. Default true; without, a step does less. */
  readonly adapters?: boolean | undefined;
  /** A worker that was started ahead, and is the policy's from now on. Default: one is started. */
  readonly worker?: WorkerHandle | undefined;
  /** Told what the policy does. */
  readonly observer?: PolicyObserver | undefined;
  /** Told after the worker crashed, when another one is being started. */
  readonly onRestart?: ((error: HoneError) => void) | undefined;
  /** Told once when it crashed too often to be started again: the process should end. */
  readonly onFailed?: ((error: HoneError) => void) | undefined;
}

/** How long a reader may leave a full stream unread. */
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

/** The numbers of {@link PolicyOptions}, complete. */
export type PolicySettings = z.output<typeof schema>;

/** @throws HoneError `INVALID_OPTIONS` */
export function checkPolicyOptions(options: PolicyOptions): PolicySettings {
  return checkSettings('policy', schema, options);
}
