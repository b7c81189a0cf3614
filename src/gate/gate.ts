/** The gate: gathers the evidence on a candidate and judges it. */

import type { Adapter } from '../versions/index.js';
import { type EvidenceOptions, gatherEvidence } from './evidence.js';
import type { Verdict } from './types.js';
import { judge } from './verdict.js';

/** Options that are the same for every candidate. */
export type GateOptions = Omit<EvidenceOptions, 'candidate' | 'metrics' | 'live' | 'signal' | 'seed'>;

/** A candidate, and the version that serves now. */
export interface GateCandidate {
  readonly version: { readonly number: number; readonly adapterDigest: string };
  readonly adapter: Adapter;
  /** Figures that its maker reports; they may not be finite. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the live version. */
  readonly live: number;
}

/** @returns a function that judges a candidate and throws as {@link gatherEvidence} */
export function createGate(options: GateOptions): (candidate: GateCandidate, signal: AbortSignal) => Promise<Verdict> {
  return async ({ version, adapter, metrics, live }, signal) => {
    const { number, adapterDigest } = version;
    const evidence = { ...options, candidate: { number, adapterDigest, adapter }, metrics, live, signal };
    const stopFollowing = options.pace?.follow(number);
    try {
      return judge(await gatherEvidence(evidence), options.settings);
    } finally {
      stopFollowing?.();
    }
  };
}
