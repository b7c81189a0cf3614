/** What a model that rewards completions by itself is to those who ask it. */

/** One completion as a reward model gets it. */
export interface RewardedCompletion {
  readonly promptTokens: readonly number[];
  /** The request's prompt or messages as JSON: `{"prompt"}` or `{"messages"}`. */
  readonly promptJson: string;
  readonly tokens: readonly number[];
  readonly text: string;
}

/** Gives completions a score without a person: larger is better, in units of its own. */
export interface RewardModel {
  /** The name under which its scores are kept. */
  readonly rater: string;
  /** Scores in the order of the items; `null` where it has nothing to say. */
  score(items: readonly RewardedCompletion[]): Promise<readonly (number | null)[]>;
}
