/** What a bench asks the process that serves a package of a kit and learns on it, and what that answers. */

export interface ServeTask {
  readonly type: 'serve';
  readonly directory: string;
  /** Where prepared packages are kept. */
  readonly cacheDirectory: string;
  readonly prompt: readonly number[];
  /** The tokens that a judge chose behind the prompt. */
  readonly expected: readonly number[];
}

/** What the policy computes behind the prompt, as many tokens as were expected. */
export interface ServeReply {
  readonly loadSeconds: number;
  /** Largest distance of the file to the same operators with other numbers, nats; 0 if none were written. */
  readonly arithmetic: number;
  /** The policy's own greedy tokens. */
  readonly greedy: readonly number[];
  /** The log-probability of each expected token behind those before it. */
  readonly logprobs: readonly number[];
  /** The likeliest token in each of these places. */
  readonly likeliest: readonly Likely[];
}

export interface Likely {
  readonly token: number;
  readonly logprob: number;
}

/** Asked after {@link ServeTask}, of the package that it opened. */
export interface LearnTask {
  readonly type: 'learn';
  readonly prompt: readonly number[];
  /** Steps after which learning has failed. */
  readonly maxSteps: number;
}

export interface LearnReply {
  /** Steps until a version was live that answers otherwise than the one before it. */
  readonly steps: number;
}

export type KitTask = ServeTask | LearnTask;
