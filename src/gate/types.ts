/** The types of the gate: the evidence on a candidate, the result of each check, and the verdict. */

/** The checks of the gate, in the order of a verdict. */
export type CheckName = 'finite' | 'kl' | 'health' | 'reward_model' | 'off_policy';

/** The result of one check. It is `skipped` if there is too little evidence, or if the check is switched off. */
export interface CheckResult {
  readonly check: CheckName;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** For people; it holds no text of prompts or completions. */
  readonly detail: string;
  /** Figures by name, units in the names. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** The verdict on a candidate. It passes if no check failed. */
export interface Verdict {
  readonly passed: boolean;
  /** One per check, in the order of {@link CheckName}. */
  readonly checks: readonly CheckResult[];
}

/** The figures of one completion that was drawn for the gate. */
export interface SampleFigures {
  /** Its length, with the end-of-sequence token if one was drawn. */
  readonly tokens: number;
  readonly endOfSequence: boolean;
  /** Whether it is white space only. */
  readonly empty: boolean;
  /** Share of its n-grams that occurred in it before, 0 to 1. */
  readonly repeated: number;
  /** A number that stands for the tokens: equal for equal tokens, for all versions and prompts. */
  readonly answer: number;
  /** ln pi − ln pi_ref of the whole completion, in nats; null if it was not measured. */
  readonly logRatio: number | null;
  /** The reward model's score, in its units; null without one. */
  readonly reward: number | null;
}

/** The samples of the versions for one prompt. A list is empty if that version drew none. */
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
  /** The reward into which its scores fold, 0 to 1. */
  readonly reward: number;
  /** ln pi under the candidate − ln pi under the version that wrote it, of the whole completion, in nats. */
  readonly candidate: number;
  /** The same for the live version. */
  readonly live: number;
}

/** Everything that the checks use: numbers, and no text of prompts or completions. */
export interface Evidence {
  /** Which weight, figure or logit of the candidate is not finite; `null` if all are. */
  readonly notFinite: string | null;
  readonly prompts: readonly PromptEvidence[];
  readonly logged: readonly LoggedEvidence[];
  /** The name of the reward model that rewarded the samples; `null` without one. */
  readonly rater: string | null;
}
