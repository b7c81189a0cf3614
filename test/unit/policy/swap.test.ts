/** Swaps refuse, cut and mix no completions, and prove that the new weights are served. */

import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { createDecoder } from '../../../src/policy/graph/decoder.js';
import { HeldVersions } from '../../../src/policy/held-versions.js';
import {
  type CompletionEvent,
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicyVersion,
} from '../../../src/policy/index.js';
import type { FromWorker } from '../../../src/policy/messages.js';
import { probePrompt, probeServed } from '../../../src/policy/probe.js';
import { Swapper } from '../../../src/policy/swapper.js';
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
  versions = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((number) => makeVersion(pkg, number, number)));
});

const version = (number: number): PolicyVersion => versions[number] as PolicyVersion;

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: version(0), ...options });
  onTestFinished(() => policy.close());
  return policy;
}

async function expectServedBy(
  served: PolicyVersion,
  prompt: readonly number[],
  result: Awaited<ReturnType<typeof collect>>,
) {
  const model = await ReferenceModel.open(pkg, served.adapter);
  for (const { tokens, logprobs } of result.completions) {
    expect(largestDifference(logprobs, await model.logprobs(prompt, tokens))).toBeLessThan(1e-4);
  }
  await model.close();
}

/** Reads a completion up to its first tokens and returns a function that reads the rest. */
async function startReading(policy: Policy, ...args: Parameters<typeof request>) {
  const events = policy.complete(request(...args))[Symbol.asyncIterator]();
  const seen: CompletionEvent[] = [(await events.next()).value, (await events.next()).value];
  return {
    rest: () =>
      collect(
        (async function* () {
          yield* seen;
          for (let next = await events.next(); !next.done; next = await events.next()) yield next.value;
        })(),
      ),
  };
}

describe('a swap', () => {
  test('proves by its probe and its digest that the new weights are served', async () => {
    const policy = await open();
    const report = await policy.swap(version(1));
    expect(report).toMatchObject({ version: 1, adapterDigest: version(1).adapterDigest, probe: { verdict: 'proved' } });
    expect(report.probe.toPrevious).toBeGreaterThan(0.01);
    expect(report.probe.toNew).toBeLessThan(1e-6);
    const prompt = randomTokens(9, 1);
    const result = await collect(policy.complete(request(prompt)));
    expect(result.version).toBe(1);
    await expectServedBy(version(1), prompt, result);
    expect(await policy.status()).toMatchObject({ liveVersion: 1, adapterDigest: version(1).adapterDigest });
  });

  test('is inconclusive if the new weights have the same logits', async () => {
    const policy = await open();
    const same = { ...version(0), number: 7 };
    expect((await policy.swap(same)).probe.verdict).toBe('inconclusive');
  });

  test('leaves running completions on their version, while new ones run on the new version', async () => {
    const policy = await open({ version: version(1) });
    const prompt = randomTokens(12, 2);
    const old = await startReading(policy, prompt, { n: 2, sampling: { maxTokens: 100 } });
    await policy.swap(version(2));
    const [before, after] = await Promise.all([old.rest(), collect(policy.complete(request(prompt, { n: 2 })))]);
    expect([before.version, after.version]).toEqual([1, 2]);
    expect(before.completions.map(({ tokens }) => tokens.length)).toEqual([100, 100]);
    await expectServedBy(version(1), prompt, before);
    await expectServedBy(version(2), prompt, after);
  });

  test('can go back to an older version, and held versions can still be requested', async () => {
    const policy = await open();
    await policy.swap(version(1));
    await policy.swap(version(2));
    expect((await policy.swap(version(1))).probe.verdict).toBe('proved');
    const asked = await collect(policy.complete(request([5, 6], { version: 0 })));
    expect(asked.version).toBe(0);
    await expectServedBy(version(0), [5, 6], asked);
  });

  test('waits for the oldest version to drain if too many are in use, and reports how long', async () => {
    const options = { pkg, version: version(1), maxLiveVersions: 2, maxSequences: 4 };
    const { policy, steps } = await openStepped(options);
    const long = () => collect(policy.complete(request([1, 2], { sampling: { maxTokens: 110 } })));
    const first = long();
    await steps.until(({ runningSequences }) => runningSequences === 1);
    await steps.settle(policy.swap(version(2)));
    const second = long();
    await steps.until(({ runningSequences }) => runningSequences === 2);
    const report = await steps.settle(policy.swap(version(3)));
    expect(report.waitedMs).toBeGreaterThan(0);
    expect(report.durationMs).toBeGreaterThanOrEqual(report.waitedMs);
    // The first request has ended and the second still runs.
    expect(await policy.status()).toMatchObject({ runningSequences: 1, heldVersions: [2, 3] });
    expect((await first).version).toBe(1);
    expect((await steps.settle(second)).version).toBe(2);
  });

  test('is refused if the weights have another digest or were made for another model', async () => {
    const policy = await open();
    const wrong = { ...version(1), adapterDigest: version(2).adapterDigest };
    await expect(policy.swap(wrong)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
    const tensors = new Map([...version(1).adapter.tensors].filter(([name]) => !name.includes('layers.1')));
    await expect(policy.swap({ ...version(1), adapter: { ...version(1).adapter, tensors } })).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
    });
    expect((await collect(policy.complete(request([1])))).version).toBe(0);
  });

  test('may happen again and again under load without refusing, cutting or mixing completions', async () => {
    const { policy, steps } = await openStepped({ pkg, version: version(0), maxSequences: 8 });
    const prompt = randomTokens(10, 8);
    const models = await Promise.all(versions.map(({ adapter }) => ReferenceModel.open(pkg, adapter)));
    onTestFinished(async () => {
      await Promise.all(models.map((model) => model.close()));
    });
    let swapping = true;
    const clients = Array.from({ length: 4 }, async (_, client) => {
      const results: Awaited<ReturnType<typeof collect>>[] = [];
      while (swapping) {
        results.push(await collect(policy.complete(request(prompt, { seed: 17 * client + results.length, n: 2 }))));
      }
      return results;
    });
    for (let i = 1; i <= 30; i++) {
      // Swaps happen in the middle of requests and between them.
      for (let turn = 0; turn < i % 7; turn++) await steps.turn();
      const next = { ...version(1 + (i % 6)), number: i };
      expect((await steps.settle(policy.swap(next))).probe.verdict).toBe('proved');
    }
    swapping = false;
    const results = (await steps.settle(Promise.all(clients))).flat();
    expect(new Set(results.map(({ version: number }) => number)).size).toBeGreaterThan(5);
    for (const { version: number, completions } of results) {
      const model = models[number === 0 ? 0 : 1 + (number % 6)] as ReferenceModel;
      for (const { tokens, logprobs, reason } of completions) {
        expect(reason).toBe('length');
        expect(largestDifference(logprobs, await model.logprobs(prompt, tokens))).toBeLessThan(1e-4);
      }
    }
    expect((await policy.status()).heldVersions.length).toBeLessThanOrEqual(5);
  });
});

describe('the probe', () => {
  const openDecoder = () =>
    createDecoder({
      modelPath: pkg.modelPath,
      contextLength: pkg.config.contextLength,
      threads: 1,
      spin: false,
    });

  test('fails if the tensors of another version are served after a swap', async () => {
    const decoder = await openDecoder();
    const probe = (fed: PolicyVersion) =>
      probeServed({
        decoder,
        prompt: probePrompt(pkg.config.vocabularySize),
        serve: async (prompt) => (await decoder.prefill(prompt, decoder.feedsOf(fed.adapter))).logits.data,
        added: version(2).adapter,
        previous: version(1).adapter,
      });
    expect((await probe(version(2))).verdict).toBe('proved');
    expect((await probe(version(1))).verdict).toBe('failed');
    expect((await probe(version(3))).verdict).toBe('failed');
  });

  test('fails if a single logit is NaN', async () => {
    const decoder = await openDecoder();
    const report = await probeServed({
      decoder,
      prompt: probePrompt(pkg.config.vocabularySize),
      serve: async (prompt) =>
        (await decoder.prefill(prompt, decoder.feedsOf(version(2).adapter))).logits.data.with(3, Number.NaN),
      added: version(2).adapter,
      previous: version(1).adapter,
    });
    expect(report.verdict).toBe('failed');
  });

  test('leaves the previous version live if it cannot be run', async () => {
    const decoder = await openDecoder();
    const held = new HeldVersions(decoder, 4);
    held.setLive(held.hold(version(1)));
    const sent: FromWorker[] = [];
    const swapper = new Swapper({
      decoder,
      versions: held,
      vocabularySize: pkg.config.vocabularySize,
      send: (message) => void sent.push(message),
    });
    await decoder.close();
    swapper.request(1, 'live', version(2));
    await swapper.proceed();
    expect(sent).toMatchObject([{ type: 'failed', call: 1 }]);
    expect(held.live.number).toBe(1);
    expect(held.numbers).toEqual([1]);
  });
});
