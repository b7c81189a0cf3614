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

/** How a reward model that runs beside the server is doing. */
export interface RewardStatus {
  /** `crashed`: it waits to be started again. */
  readonly state: 'starting' | 'running' | 'crashed' | 'off';
  /** Times that it was started again. */
  readonly restarts: number;
  /** What went wrong last; `null`: nothing yet. */
  readonly failure: string | null;
}

/** A reward model in a process of its own. */
export interface RewardProcess extends RewardModel {
  readonly status: RewardStatus;
  /** Told of each failure: what hung, crashed, or answered what is no score. */
  onFailure(listener: (message: string) => void): void;
  /** Ends the process; what it was asked is refused with `CANCELLED`. Idempotent. */
  close(): Promise<void>;
}
