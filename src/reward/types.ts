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

/** What a reward process made of one completion. */
export type Rating =
  /** `null`: the program answered that it has no score for it. */
  | { readonly is: 'rated'; readonly score: number | null }
  /** The program failed on this completion alone; it scored others. */
  | { readonly is: 'failed' };

/** The status of a reward process. */
export interface RewardStatus {
  /**
   * `crashed`: the process ended and waits for its restart. `failed`: the program is at fault, so that no completion can
   * be rated; it is asked again.
   */
  readonly state: 'starting' | 'running' | 'crashed' | 'failed' | 'off';
  /** Number of restarts after the process ended by itself. */
  readonly restarts: number;
  /** The last failure; `null` if there was none. */
  readonly failure: string | null;
}

/** A reward model or function in a process of its own. */
export interface RewardProcess {
  /** The name under which its scores are stored. */
  readonly rater: string;
  readonly status: RewardStatus;
  /**
   * Rates completions, in order.
   * @param suspects whether the program failed on each of them before. If the first few fail again, the others are not
   * tried, and the program is not held to be at fault. Default false
   * @throws HoneError `WORKER_CRASHED` if the program is at fault: its answer has a wrong shape, or it fails on every
   * completion. Then nothing is known of any of them. `CANCELLED` when it is closed; the reason why it cannot be started
   */
  rate(items: readonly RewardedCompletion[], suspects?: boolean): Promise<readonly Rating[]>;
  /** Lets the next batch run in a new process, which loads the program again. */
  renew(): void;
  /** SHA-256 of the file of a function when its process was started; `null` for a model. */
  readonly digest: string | null;
  /** Whether that file has changed since. */
  hasChanged(): Promise<boolean>;
  /** Registers a listener for failures: the process hung, crashed, or returned what is no score. */
  onFailure(listener: (message: string) => void): void;
  /** Ends the process; batches in flight are refused with `CANCELLED`. Idempotent. */
  close(): Promise<void>;
}
