/** Options of the policy: raw -> checked -> complete. */

import { z } from 'zod';
import { HoneError } from '../errors.js';
import type { Package } from '../package/types.js';
import type { PolicyObserver, PolicyVersion } from './types.js';

/** How a policy is opened. */
export interface PolicyOptions {
  readonly pkg: Package;
  /** Live from the start. Its scale is that of every later version; ranks may differ. */
  readonly version: PolicyVersion;
  /** Versions that are servable from the start besides the live one; a version 0 among them is held for good. */
  readonly held?: readonly PolicyVersion[];
  /** Intra-op threads of onnxruntime. Default 1. */
  readonly threads?: number | undefined;
  /** Whether idle threads of onnxruntime spin: faster alone, ruinous beside a busy neighbour such as the learner. Default false. */
  readonly spin?: boolean | undefined;
  /** Candidates that are decoded at once. Default 32: a step of a small decoder costs little more for 32 rows than for 8. */
  readonly maxSequences?: number | undefined;
  /** Requests that wait for a slot; further ones are refused with `QUEUE_FULL`. Default 256. */
  readonly maxQueue?: number | undefined;
  /** Prompt tokens of the requests that wait; further requests are refused with `QUEUE_FULL`. */
  readonly maxQueueTokens?: number | undefined;
  /** Memory for keys and values of running sequences. */
  readonly kvMemoryBytes?: number | undefined;
  /** How long a caller may leave its completion unread before the sequence gives its slot up. */
  readonly maxStalledMs?: number | undefined;
  /** Tokens of prompts that are computed between two decode steps. Default 128. */
  readonly prefillChunk?: number | undefined;
  /** Memory for prompts that may come again; 0 keeps none. Default 64 MiB. */
  readonly prefixCacheBytes?: number | undefined;
  /** Versions held at once, version 0 not counted; a further swap waits for the oldest to drain. Default 4. */
  readonly maxLiveVersions?: number | undefined;
  /** Told what the policy does. */
  readonly observer?: PolicyObserver | undefined;
  /** Told after the worker crashed, when another one is being started. */
  readonly onRestart?: ((error: HoneError) => void) | undefined;
  /** Told once when it crashed too often to be started again: the process should end. */
  readonly onFailed?: ((error: HoneError) => void) | undefined;
}

const schema = z.object({
  threads: z.int().min(1).max(256).default(1),
  spin: z.boolean().default(false),
  maxSequences: z.int().min(1).max(1024).default(32),
  maxQueue: z.int().min(1).max(1_000_000).default(256),
  prefillChunk: z.int().min(1).max(4096).default(128),
  prefixCacheBytes: z.int().min(0).default(67_108_864),
  maxLiveVersions: z.int().min(2).max(64).default(4),
});

/** The numbers of {@link PolicyOptions}, complete. */
export type PolicySettings = z.output<typeof schema>;

/** @throws HoneError `INVALID_OPTIONS` */
export function checkPolicyOptions(options: PolicyOptions): PolicySettings {
  const checked = schema.safeParse(options);
  if (checked.success) return checked.data;
  throw new HoneError('INVALID_OPTIONS', `options of the policy: ${z.prettifyError(checked.error)}`);
}
