/** Versions of the policy and how they come to serve. */

import type { OrUnknown } from './or-unknown.js';

/** The files of an adapter by name, such as `adapter_model.safetensors`. */
export type AdapterFiles = Readonly<Record<string, Uint8Array>>;

/** One version of the policy. */
export interface Version {
  readonly lineage: string;
  readonly number: number;
  readonly adapterDigest: string;
  readonly packageDigest: string;
  readonly state: OrUnknown<'candidate' | 'shadow' | 'canary' | 'live' | 'retired' | 'rejected'>;
  readonly origin: OrUnknown<'base' | 'learned' | 'rollback' | 'imported'>;
  readonly parent?: number;
  readonly createdAtMs: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** What the gate found; empty until it was judged, and for versions that the gate never saw. */
  readonly verdict: readonly CheckResult[];
  /** Why it was rejected; empty where it was not. */
  readonly rejectedBecause: string;
  /** Whether its adapter is still there, or made room for newer ones. */
  readonly weights: OrUnknown<'kept' | 'removed'>;
}

/** What one check of the gate found. */
export interface CheckResult {
  /** `finite`, `kl`, `health`, `reward_model` or `off_policy`. */
  readonly check: string;
  /** `skipped`: there was too little to go by, or the check is switched off. */
  readonly outcome: OrUnknown<'passed' | 'failed' | 'skipped'>;
  /** In words, for people. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * What becomes of a candidate that has passed the gate. apprentice: it waits for a person; shadow: it answers in the
 * background and waits for a person; canary: it serves a share of traffic until its rewards decide; auto: it goes live.
 */
export type Mode = 'apprentice' | 'shadow' | 'canary' | 'auto';

/** Rewards of one side of a canary. */
export interface CanaryArm {
  /** Generations that were counted, each once. */
  readonly rewards: number;
  /** Absent before the first. */
  readonly meanReward?: number;
}

/** How a canary stands. */
export interface CanaryStatus {
  readonly live: CanaryArm;
  readonly candidate: CanaryArm;
  /** Natural logarithm of the evidence that the candidate is worse. */
  readonly logEvidenceWorse: number;
  /** The same that it is not worse by more than `margin`. */
  readonly logEvidenceNotWorse: number;
  /** Either decides when it reaches this. */
  readonly logEvidenceNeeded: number;
  readonly margin: number;
  /** Fewest rewards of the candidate before it is promoted. */
  readonly minimumRewards: number;
  readonly endsAtMs: number;
}

/** Which way candidates go, and what is on it. */
export interface RolloutStatus {
  readonly mode: OrUnknown<Mode>;
  /** The version on trial; absent where there is none. */
  readonly trial?: {
    readonly version: number;
    readonly startedAtMs: number;
    /** Of requests, 0 to 1. */
    readonly share: number;
    /** Answers it has begun. */
    readonly answers: number;
    /** Absent for a shadow. */
    readonly canary?: CanaryStatus;
  };
  /** The candidate that is being judged. */
  readonly judging?: number;
  /** The candidate that waits for the judgement or the trial to end. */
  readonly waiting?: number;
}
