/** The thread that encodes long texts, with a tokenizer of its own. Its data is the folder of the package. */

import { parentPort, workerData } from 'node:worker_threads';
import { HoneError, type SerializedError } from '../../errors.js';
import { loadTokenizer } from '../tokenizer.js';
import { type EncodingJob, encodeJob } from './encoding-job.js';

/** The answer to a job: its tokens, or why it has none. */
export type EncodedJob = { readonly tokens: Uint32Array } | { readonly error: SerializedError };

const tokenizer = loadTokenizer(workerData as string);

parentPort?.on('message', async (job: EncodingJob) => {
  parentPort?.postMessage(await answer(job));
});

async function answer(job: EncodingJob): Promise<EncodedJob> {
  try {
    return { tokens: Uint32Array.from(encodeJob(await tokenizer, job)) };
  } catch (thrown) {
    return { error: HoneError.from(thrown).toJSON() };
  }
}
