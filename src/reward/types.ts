/** Reward models, as other folders use them: they score completions without a person. */

/** A completion that a reward model scores. */
export interface RewardedCompletion {
  readonly promptTokens: readonly number[];
  /** The request's prompt or messages as JSON: `{"prompt"}` or `{"messages"}`. */
  readonly promptJson: string;
  readonly tokens: readonly number[];
  readonly text: string;
}

/** Scores completions without a person. A larger score is better; the unit is the model's own. */
export interface RewardModel {
  /** The name under which its scores are stored. */
  readonly rater: string;
  /** Returns the scores in the order of the items; `null` for an item that the model cannot score. */
  score(items: readonly RewardedCompletion[]): Promise<readonly (number | null)[]>;
}

/** The status of a reward process. */
export interface RewardStatus {
  /** `crashed`: the process ended and waits for its restart. */
  readonly state: 'starting' | 'running' | 'crashed' | 'off';
  /** Number of restarts. */
  readonly restarts: number;
  /** The last failure; `null` if there was none. */
  readonly failure: string | null;
}

/** A reward model in a process of its own. */
export interface RewardProcess extends RewardModel {
  readonly status: RewardStatus;
  /** Registers a listener for failures: the process hung, crashed, or returned invalid scores. */
  onFailure(listener: (message: string) => void): void;
  /** Ends the process; batches in flight are refused with `CANCELLED`. Idempotent. */
  close(): Promise<void>;
}
