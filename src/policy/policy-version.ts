/** A version of the weights on its way into the policy, and the report on it. */

import type { Adapter } from '../versions/index.js';

/** A version's weights as the worker receives them. Version 0 is the zero adapter. */
export interface PolicyVersion {
  readonly number: number;
  readonly adapterDigest: string;
  readonly adapter: Adapter;
}

export interface SwapReport {
  readonly version: number;
  /** Computed by the worker from the tensors that it holds. */
  readonly adapterDigest: string;
  /** Distances of the served probe logits to the new version's own and to the previous version's. */
  readonly probe: {
    readonly verdict: 'proved' | 'inconclusive' | 'failed';
    readonly toNew: number;
    readonly toPrevious: number;
  };
  /** From the swap message to the first step that may run on the new version. */
  readonly durationMs: number;
  /** Time in which the swap waited for the oldest held version to drain. */
  readonly waitedMs: number;
}

/** The report on a hold. The live version is its previous version. */
export type HoldReport = SwapReport;
