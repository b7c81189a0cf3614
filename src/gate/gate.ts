/** Evidence and verdict in one: what whoever moves the head asks of a candidate. */

import type { Adapter } from '../versions/index.js';
import { type EvidenceOptions, gatherEvidence } from './evidence.js';
import type { Verdict } from './types.js';
import { judge } from './verdict.js';

/** What does not change from candidate to candidate. */
export type GateOptions = Omit<EvidenceOptions, 'candidate' | 'metrics' | 'live' | 'signal' | 'seed'>;

/** A candidate beside what serves now. */
export interface GateCandidate {
  readonly version: { readonly number: number; readonly adapterDigest: string };
  readonly adapter: Adapter;
  /** What its maker reports, finite or not. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of the live version. */
  readonly live: number;
}

/** A gate. It throws what {@link gatherEvidence} throws. */
export function createGate(options: GateOptions): (candidate: GateCandidate, signal: AbortSignal) => Promise<Verdict> {
  return async ({ version, adapter, metrics, live }, signal) => {
    const { number, adapterDigest } = version;
    const evidence = { ...options, candidate: { number, adapterDigest, adapter }, metrics, live, signal };
    return judge(await gatherEvidence(evidence), options.settings);
  };
}
