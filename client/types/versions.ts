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
  /** The gate's findings; empty before the judgement and for versions that the gate does not judge. */
  readonly verdict: readonly CheckResult[];
  /** The reason of its rejection; empty if it was not rejected. */
  readonly rejectedBecause: string;
  /** Whether its adapter is still stored or was removed to make room. */
  readonly weights: OrUnknown<'kept' | 'removed'>;
}

/** The result of one check of the gate. */
export interface CheckResult {
  /** `finite`, `kl`, `health`, `reward_model` or `off_policy`. */
  readonly check: string;
  /** `skipped`: there was too little data, or the check is switched off. */
  readonly outcome: OrUnknown<'passed' | 'failed' | 'skipped'>;
  /** A description for people. */
  readonly detail: string;
  /** Figures by name; the names include the units. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * What to do with a candidate that has passed the gate. apprentice: it waits for a person. shadow: it answers in the
 * background and waits for a person. canary: it serves a share of traffic until its rewards decide. auto: it goes live.
 */
export type Mode = 'apprentice' | 'shadow' | 'canary' | 'auto';

/** The rewards of one side of a canary. */
export interface CanaryArm {
  /** Number of generations that were counted, each once. */
  readonly rewards: number;
  /** Absent before the first reward. */
  readonly meanReward?: number;
}

/** The status of a canary. */
export interface CanaryStatus {
  readonly live: CanaryArm;
  readonly candidate: CanaryArm;
  /** Natural logarithm of the evidence that the candidate is worse. */
  readonly logEvidenceWorse: number;
  /** Natural logarithm of the evidence that it is not worse by more than `margin`. */
  readonly logEvidenceNotWorse: number;
  /** The canary ends when one of the two reaches this value. */
  readonly logEvidenceNeeded: number;
  readonly margin: number;
  /** Number of rewards of the candidate before it can be promoted. */
  readonly minimumRewards: number;
  readonly endsAtMs: number;
}

/** The mode, and the candidates on their way. */
export interface RolloutStatus {
  readonly mode: OrUnknown<Mode>;
  /** The version on trial; absent if there is none. */
  readonly trial?: {
    readonly version: number;
    readonly startedAtMs: number;
    /** Share of requests that it answers, 0 to 1. */
    readonly share: number;
    /** Answers that it has begun since the server started. */
    readonly answers: number;
    /** Absent for a shadow. */
    readonly canary?: CanaryStatus;
  };
  /** The candidate that the gate judges now. */
  readonly judging?: number;
  /** The candidate that waits for the judgement or the trial to end. */
  readonly waiting?: number;
  /** Share of the runs of the model that the judgement gets, 0 to 1; absent until it has lasted for 20 seconds. */
  readonly judgingShare?: number;
  /** How little of the policy the judgement gets, and what to do; absent if it gets enough. */
  readonly judgingStarvedBecause?: string;
}
