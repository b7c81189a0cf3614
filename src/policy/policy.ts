/** The interface of the policy: a package that serves completions on its live version, or on others that it holds. */

import type { CompletionEvent } from './completion-events.js';
import type { CompletionRequest } from './completion-request.js';
import type { PolicyStatus } from './policy-status.js';
import type { HoldReport, PolicyVersion, SwapReport } from './policy-version.js';

export interface Policy {
  /**
   * Runs a request. The iterable ends after the `finished` event of every completion. If the signal is aborted, the
   * slots are free within one step, and each completion yields `finished` with `cancelled`. If the events are not read,
   * the policy stops computing them, and after a while the request fails with `READER_STALLED`.
   * @throws HoneError `INVALID_REQUEST`, `QUEUE_FULL`, `PROMPT_TOO_LONG`, `VERSION_NOT_SERVABLE`, `READER_STALLED`,
   * `WORKER_CRASHED`, `DRAINING`
   */
  complete(request: CompletionRequest, signal?: AbortSignal): AsyncIterable<CompletionEvent>;
  /**
   * Makes a version live for all requests that start after it. Running requests keep their version. If the verdict of
   * the probe is `failed`, the previous version stays live.
   * @throws HoneError `ADAPTER_INVALID`, `ADAPTER_MISMATCH`, `VERSION_NOT_SERVABLE` (the policy holds other weights
   * with this number), `WORKER_CRASHED`, `DRAINING`
   */
  swap(version: PolicyVersion): Promise<SwapReport>;
  /**
   * Keeps a version servable beside the live one until {@link Policy.release}, even if the worker restarts. It waits
   * for room as a swap does. Holds of the same version are counted, and each needs its release. If the verdict of the
   * probe is `failed`, the version is not held and needs no release.
   * @throws HoneError `TOO_MANY_VERSIONS` if no room would be left for swaps; `ADAPTER_INVALID`, `ADAPTER_MISMATCH`,
   * `VERSION_NOT_SERVABLE` (the policy holds other weights with this number), `WORKER_CRASHED`, `DRAINING`
   */
  hold(version: PolicyVersion): Promise<HoldReport>;
  /**
   * Ends one hold, without waiting. After the last one the version is dropped as soon as no request runs on it, unless
   * it is live or version 0. A version without a hold is left alone.
   */
  release(number: number): Promise<void>;
  /** Empties the prefix cache. */
  clearPrefixes(): Promise<void>;
  status(): Promise<PolicyStatus>;
  /** Refuses new requests and resolves when the running ones have ended. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
