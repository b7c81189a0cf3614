import type { Device } from '../../src/learner/index.js';

/** What every bench is told. */
export interface BenchOptions {
  /** Threads of the engines and of the limits' measurements. */
  readonly threads: number;
  /** Whether `threads` was asked for; otherwise engines that are faster on one thread run on one. */
  readonly fixedThreads: boolean;
  /** Whether idle threads of the policy spin, as on a machine that does nothing else. */
  readonly spin: boolean;
  /** Whether Hone is compared with its peers. */
  readonly peers: boolean;
  /** Where the learner computes. */
  readonly device: Device;
  /** A folder with TF.js's native package, to be compared with. */
  readonly tfjsNode: string | undefined;
  /** Whether the same models with int8 weights are measured too. */
  readonly int8: boolean;
  /** A short run on the tests' package that shows that the bench works, not what the machine can do. */
  readonly quick: boolean;
}
