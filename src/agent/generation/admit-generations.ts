/** Writes the generations of a request into the store before the caller learns their ids. */

import { HoneError } from '../../errors.js';
import type { RequestStarted } from '../../policy/index.js';
import { isFailure, isRefusal } from '../store-outage.js';
import type { GenerationContext, GenerationRequest } from './generation-context.js';

/**
 * Resolves with true when the generations are on disk, in state `running`. Resolves with false if the store takes no
 * writes now: the request is served all the same, but not stored.
 * @throws HoneError `QUEUE_FULL`, `STORE_BUSY`, `WORKER_CRASHED`, `DRAINING`
 */
export async function admitGenerations(
  { pkg, replay, now, storeOutage }: GenerationContext,
  request: GenerationRequest,
  ids: readonly string[],
  started: RequestStarted,
): Promise<boolean> {
  const createdAtMs = now();
  const samplingJson = JSON.stringify({ ...request.sampling, seed: request.seed });
  try {
    await replay.admit(
      ids.map((id) => ({
        id,
        origin: request.origin ?? 'sampled',
        groupKey: request.groupKey,
        packageDigest: pkg.digest,
        version: started.version,
        adapterDigest: started.adapterDigest,
        promptTokens: Uint32Array.from(request.promptTokens),
        promptJson: request.promptJson,
        metadataJson: request.metadataJson,
        samplingJson,
        subject: request.subject,
        createdAtMs,
      })),
    );
    void storeOutage.writeSucceeded();
    return true;
  } catch (thrown) {
    const error = HoneError.from(thrown);
    if (isFailure(error)) storeOutage.writeFailed(error);
    // Another program's lock ends soon, and the caller may ask again. A full disk may stay full.
    if (!isRefusal(error)) throw error;
    return false;
  }
}
