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

/** One completion that was drawn for the gate, in figures. */
export interface SampleFigures {
  /** Its length, with the end-of-sequence token where one was drawn. */
  readonly tokens: number;
  readonly endOfSequence: boolean;
  /** Nothing but white space. */
  readonly empty: boolean;
  /** Share of its n-grams that occur in it before, 0 to 1. */
  readonly repeated: number;
  /** The same number for the same tokens, whichever version drew them for whichever prompt. */
  readonly answer: number;
  /** ln pi − ln pi_ref of the whole completion, in nats; of the candidate's only. */
  readonly logRatio: number | null;
  /** What the reward model says of it, in its units. */
  readonly reward: number | null;
}

/** What the versions made of one prompt. Empty lists where nothing was drawn. */
export interface PromptEvidence {
  /** Whether the prompt never trains. */
  readonly heldOut: boolean;
  readonly candidate: readonly SampleFigures[];
  readonly live: readonly SampleFigures[];
  readonly reference: readonly SampleFigures[];
}

/** A completion of real traffic with a reward, on a prompt that never trains. */
export interface LoggedEvidence {
  /** The same number for completions of the same prompt. */
  readonly prompt: number;
  /** What its scores fold into, 0 to 1. */
  readonly reward: number;
  /** ln pi of the candidate − ln pi of the version that wrote it, of the whole completion, in nats. */
  readonly candidate: number;
  /** The same of the live version. */
  readonly live: number;
}

/** Everything that the checks look at: numbers, no text. */
export interface Evidence {
  /** What of the candidate is not a finite number, in words; `null` where all is. */
  readonly notFinite: string | null;
  readonly prompts: readonly PromptEvidence[];
  readonly logged: readonly LoggedEvidence[];
  /** Who gave the rewards of the samples; `null` without a reward model. */
  readonly rater: string | null;
}
