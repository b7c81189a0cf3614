/** The thread that encodes long texts, with a tokenizer of its own. */

import { parentPort, workerData } from 'node:worker_threads';
import { HoneError, type SerializedError } from '../../errors.js';
import { invalidPackage } from '../files.js';
import { loadTokenizer } from '../tokenizer.js';
import type { PackageTokenizer } from '../types.js';
import { type EncodingJob, encodeJob } from './encoding-job.js';

/** The data of the thread. */
export interface EncoderData {
  /** The folder of the package. */
  readonly directory: string;
  /** Of the tokenizer that the server began with. */
  readonly digest: string;
}

/** The answer to a job: its tokens, or why it has none. */
export type EncodedJob = { readonly tokens: Uint32Array } | { readonly error: SerializedError };

const tokenizer = loadSame(workerData as EncoderData);
// Each job that waits for it reports the failure.
tokenizer.catch(() => undefined);

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

/** @throws HoneError `PACKAGE_INVALID` if the files have changed since the server began: other tokens would come out */
async function loadSame({ directory, digest }: EncoderData): Promise<PackageTokenizer> {
  const loaded = await loadTokenizer(directory);
  if (loaded.digest === digest) return loaded;
  throw invalidPackage(
    directory,
    'tokenizer.json',
    'the tokenizer is not the one that the server began with; restore its files, or start the server again',
  );
}
