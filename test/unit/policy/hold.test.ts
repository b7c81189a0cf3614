/** Versions that are held beside the live one until they are released. */

import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { openPolicy, type Policy, type PolicyOptions, type PolicyVersion } from '../../../src/policy/index.js';
import type { ToWorker } from '../../../src/policy/messages.js';
import {
  collect,
  largestDifference,
  makeVersion,
  ReferenceModel,
  randomTokens,
  request,
} from '../../support/policy/policy.js';
import { openStepped } from '../../support/policy/stepped.js';
import { tinyDirectory } from '../../support/tiny.js';

let pkg: Package;
let versions: PolicyVersion[];

beforeAll(async () => {
  pkg = await loadPackage(tinyDirectory);
  versions = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((number) => makeVersion(pkg, number, number)));
});

const version = (number: number): PolicyVersion => versions[number] as PolicyVersion;

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: version(0), ...options });
  onTestFinished(() => policy.close());
  return policy;
}

const ask = (policy: Policy, number: number) => collect(policy.complete(request([5, 6, 7], { version: number })));
const notServable = { code: 'VERSION_NOT_SERVABLE' };

describe('a held version', () => {
  test('is probed as in a swap, and serves requests that name it while another version is live', async () => {
    const policy = await open();
    const report = await policy.hold(version(1));
    expect(report).toMatchObject({ version: 1, adapterDigest: version(1).adapterDigest, probe: { verdict: 'proved' } });
    const prompt = randomTokens(9, 1);
    const [held, live] = await Promise.all([
      collect(policy.complete(request(prompt, { version: 1 }))),
      collect(policy.complete(request(prompt))),
    ]);
    expect([held.version, live.version]).toEqual([1, 0]);
    const model = await ReferenceModel.open(pkg, version(1).adapter);
    onTestFinished(() => model.close());
    const { tokens, logprobs } = held.completions[0] as (typeof held.completions)[number];
    expect(largestDifference(logprobs, await model.logprobs(prompt, tokens))).toBeLessThan(1e-4);
    expect(await policy.status()).toMatchObject({ liveVersion: 0, heldVersions: [0, 1] });
  });

  test('stays however many versions are swapped in, and is dropped when it is released', async () => {
    const policy = await open({ maxLiveVersions: 3 });
    await policy.hold(version(1));
    for (const number of [2, 3, 4, 5, 6]) await policy.swap(version(number));
    expect((await ask(policy, 1)).version).toBe(1);
    await policy.release(1);
    expect((await policy.status()).heldVersions).not.toContain(1);
    await expect(ask(policy, 1)).rejects.toMatchObject(notServable);
  });

  test('is dropped after its release when the last request on it has ended', async () => {
    const { policy, steps } = await openStepped({ pkg, version: version(0) });
    await steps.settle(policy.hold(version(1)));
    const running = collect(policy.complete(request([1], { version: 1, sampling: { maxTokens: 100 } })));
    await steps.until(({ runningSequences }) => runningSequences === 1);
    await policy.release(1);
    expect((await policy.status()).heldVersions).toContain(1);
    expect((await steps.settle(running)).completions[0]).toMatchObject({ reason: 'length' });
    expect((await policy.status()).heldVersions).toEqual([0]);
  });

  test('stays until each of its holds is released', async () => {
    const policy = await open();
    await Promise.all([policy.hold(version(1)), policy.hold(version(1))]);
    await policy.release(1);
    expect((await ask(policy, 1)).version).toBe(1);
    await policy.release(1);
    await expect(ask(policy, 1)).rejects.toMatchObject(notServable);
    await policy.release(1);
  });

  test('stays live after its release if it has become live', async () => {
    const policy = await open();
    await policy.hold(version(1));
    expect((await policy.swap(version(1))).probe.verdict).toBe('proved');
    await policy.release(1);
    expect(await collect(policy.complete(request([5])))).toMatchObject({ version: 1 });
  });

  test('stays if a swap to its number fails, and version 0 stays even after its release', async () => {
    const policy = await open({ version: version(1) });
    await policy.hold(version(0));
    await policy.release(0);
    expect((await ask(policy, 0)).version).toBe(0);
    await policy.hold(version(2));
    await expect(policy.swap({ ...version(3), number: 2 })).rejects.toMatchObject(notServable);
    expect((await ask(policy, 2)).version).toBe(2);
  });

  test('is held again by the new worker after a crash', async () => {
    const announced = once(process, 'worker') as Promise<[Worker]>;
    const policy = await open({ maxLiveVersions: 3 });
    const [thread] = await announced;
    await policy.hold(version(1));
    await policy.swap(version(2));
    const poison: ToWorker = { type: 'submit', request: 999, spec: request([100_000]), atMs: 0 };
    thread.postMessage(poison);
    // The request is in flight when the worker crashes, or it is refused after the crash.
    await expect(ask(policy, 1)).rejects.toMatchObject({ code: 'WORKER_CRASHED' });
    await policy.swap(version(2));
    for (const number of [3, 4, 5]) await policy.swap(version(number));
    expect(await ask(policy, 1)).toMatchObject({ version: 1, adapterDigest: version(1).adapterDigest });
    await policy.release(1);
    expect((await policy.status()).heldVersions).not.toContain(1);
  });
});

describe('a hold', () => {
  test('is refused if swaps would have no room beside it, with the versions that are held', async () => {
    const policy = await open({ maxLiveVersions: 4 });
    await policy.hold(version(1));
    await policy.hold(version(2));
    await expect(policy.hold(version(3))).rejects.toMatchObject({
      code: 'TOO_MANY_VERSIONS',
      message: expect.stringContaining('1, 2'),
    });
    for (const number of [4, 5, 6]) await policy.swap(version(number));
    await policy.release(1);
    expect((await policy.hold(version(3))).probe.verdict).toBe('proved');
  });

  test('is refused for weights with another digest, and for other weights with a number that is held', async () => {
    const policy = await open();
    const wrong = { ...version(1), adapterDigest: version(2).adapterDigest };
    await expect(policy.hold(wrong)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
    await policy.hold(version(1));
    await expect(policy.hold({ ...version(2), number: 1 })).rejects.toMatchObject(notServable);
    expect(await ask(policy, 1)).toMatchObject({ adapterDigest: version(1).adapterDigest });
    await policy.release(1);
    await expect(ask(policy, 1)).rejects.toMatchObject(notServable);
  });

  test('keeps nothing if the numbers of the version overflow, because its probe fails', async () => {
    const policy = await open();
    const broken = await makeVersion(pkg, 9, 5, 1e30);
    expect((await policy.hold(broken)).probe.verdict).toBe('failed');
    expect((await policy.status()).heldVersions).toEqual([0]);
  });

  test('waits for room as a swap does, and reports how long', async () => {
    const { policy, steps } = await openStepped({ pkg, version: version(1), maxLiveVersions: 3, maxSequences: 4 });
    const running: Promise<unknown>[] = [];
    const start = async (number: number) => {
      const before = (await policy.status()).runningSequences;
      running.push(collect(policy.complete(request([1, 2], { version: number, sampling: { maxTokens: 110 } }))));
      await steps.until(({ runningSequences }) => runningSequences > before);
    };
    await start(1);
    for (const number of [2, 3]) {
      await steps.settle(policy.swap(version(number)));
      await start(number);
    }
    const report = await steps.settle(policy.hold(version(4)));
    expect(report.waitedMs).toBeGreaterThan(0);
    expect((await steps.settle(ask(policy, 4))).version).toBe(4);
    await steps.settle(Promise.all(running));
  });
});
