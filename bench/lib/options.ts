import type { Device } from '../../src/learner/index.js';

/** The options of every bench. */
export interface BenchOptions {
  /** Number of threads of the engines and of the measurements of limits. */
  readonly threads: number;
  /** Whether the user chose `threads`. If not, engines that are faster on one thread run on one. */
  readonly fixedThreads: boolean;
  /** Whether idle threads of the policy spin, which is faster on a machine that does nothing else. */
  readonly spin: boolean;
  /** Whether Hone is compared with its peers. */
  readonly peers: boolean;
  /** The device on which the learner computes. */
  readonly device: Device;
  /** A folder with TF.js's native package to compare with. */
  readonly tfjsNode: string | undefined;
  /** Whether the same models are also measured with int8 weights. */
  readonly int8: boolean;
  /** For `hostile`: the attacks to measure, by name; undefined: all. */
  readonly only: readonly string[] | undefined;
  /** Whether to run briefly on the test package. This shows that the bench works; its figures are meaningless. */
  readonly quick: boolean;
}
