/** What every bench is told. */
export interface BenchOptions {
  /** Threads of the engines and of the limits' measurements. */
  readonly threads: number;
  /** Whether idle threads of the policy spin: the server leaves it off, since it is ruinous beside the learner. */
  readonly spin: boolean;
  /** A short run on the tests' package that shows that the bench works, not what the machine can do. */
  readonly smoke: boolean;
}
