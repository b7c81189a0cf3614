/**
 * Entry point of the trial of a new addon, a child process of `hone tfjs-setup`: loads the package in the given folder,
 * multiplies two matrices and prints a line of JSON, {@link AddonTrial}.
 */

import { createRequire } from 'node:module';
import { restoreRemovedUtil } from './removed-util.js';
import type { TensorFlow } from './values.js';

export interface AddonTrial {
  /** `[[1, 2], [3, 4]]` times `[[5, 6], [7, 8]]`, row by row. */
  readonly values: readonly number[];
  readonly tensorflowVersion: string;
  readonly gpu: boolean;
}

/** The package's backend; its addon reports the version of TensorFlow. */
interface NativeBackend {
  readonly binding: { readonly TF_Version: string };
  readonly isUsingGpuDevice?: boolean;
}

restoreRemovedUtil();
const tf = createRequire(import.meta.url)(process.argv[2] as string) as TensorFlow;
const left = tf.tensor2d([1, 2, 3, 4], [2, 2]);
const right = tf.tensor2d([5, 6, 7, 8], [2, 2]);
const values = Array.from(tf.matMul(left, right).dataSync());
const { binding, isUsingGpuDevice } = tf.backend() as unknown as NativeBackend;
const trial: AddonTrial = { values, tensorflowVersion: binding.TF_Version, gpu: isUsingGpuDevice === true };
process.stdout.write(`${JSON.stringify(trial)}\n`);
