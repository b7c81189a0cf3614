/** What callers see if the inference worker dies. */

import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { HoneError } from '../../../src/errors.js';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { openPolicy, type Policy } from '../../../src/policy/index.js';
import type { ToWorker } from '../../../src/policy/messages.js';
import { collect, makeLongPackage, makeVersion, request } from '../../support/policy/policy.js';

let pkg: Package;

beforeAll(async () => {
  // The context is long enough for a completion that is still running when the worker crashes, however late that is.
  pkg = await loadPackage(await makeLongPackage(16_384));
});

/** Opens a policy and returns it with its thread, which Node announces by an event of the process. */
async function openWithThread(onRestart: (error: HoneError) => void): Promise<{ policy: Policy; thread: Worker }> {
  const announced = once(process, 'worker') as Promise<[Worker]>;
  const policy = await openPolicy({ pkg, version: await makeVersion(pkg, 0, 0), onRestart });
  onTestFinished(() => policy.close());
  return { policy, thread: (await announced)[0] };
}

describe('a crash of the worker', () => {
  test('ends the streams with WORKER_CRASHED, after which the policy serves the live version again', async () => {
    const crashes: HoneError[] = [];
    const { policy, thread } = await openWithThread((error) => crashes.push(error));
    const second = await makeVersion(pkg, 1, 1);
    await policy.swap(second);
    // A token beyond the vocabulary makes the run of the model fail. The policy itself would have refused it.
    const poison: ToWorker = { type: 'submit', request: 999, spec: request([100_000]), atMs: 0 };
    const stream = collect(policy.complete(request([1], { n: 2, sampling: { maxTokens: 16_000 } })), (event) => {
      if (event.type === 'tokens') thread.postMessage(poison);
    });
    await expect(stream).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    expect(crashes).toHaveLength(1);
    await expect(collect(policy.complete(request([1])))).rejects.toMatchObject({
      code: 'WORKER_CRASHED',
      retryAfterMs: 1000,
    });
    expect(await policy.status()).toMatchObject({ liveVersion: 1, runningSequences: 0, heldVersions: [] });
    // A swap waits for the new worker.
    expect((await policy.swap(second)).probe.verdict).toBe('inconclusive');
    const after = await collect(policy.complete(request([1])));
    expect(after).toMatchObject({ version: 1, adapterDigest: second.adapterDigest });
    expect((await policy.status()).heldVersions).toEqual([0, 1]);
  });

  test('does not happen if the package or an option is unusable: opening the policy is refused with the reason', async () => {
    const foreign = { ...pkg, modelPath: `${pkg.modelPath}.absent` };
    const version = await makeVersion(pkg, 0, 0);
    await expect(openPolicy({ pkg: foreign, version })).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    const { pkg: _, ...rest } = { pkg, version, threads: 0 };
    await expect(openPolicy({ pkg, ...rest })).rejects.toMatchObject({ code: 'INVALID_OPTIONS' });
  });
});
