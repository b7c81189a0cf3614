/** The gate's words: what is measured of a candidate, what a check says of it, and the verdict. */

/** What the gate looks at, in the order in which it says so. */
export type CheckName = 'finite' | 'kl' | 'health' | 'reward_model' | 'off_policy';

/** What one check found; `skipped` where there was too little to go by, or where it is switched off. */
export interface CheckResult {
  readonly check: CheckName;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** In words, for people; no text of prompts or completions. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** Whether a candidate may serve: no check failed. */
export interface Verdict {
  readonly passed: boolean;
  /** One per check, in the order of {@link CheckName}. */
  readonly checks: readonly CheckResult[];
}
