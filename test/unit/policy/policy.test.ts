/** The policy with its real worker, compared with an independent forward pass of the package's own file. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { openPolicy, type Policy, type PolicyOptions, type PolicyVersion } from '../../../src/policy/index.js';
import {
  type Collected,
  collect,
  largestDifference,
  makeLongPackage,
  makeVersion,
  ReferenceModel,
  randomTokens,
  request,
} from '../../support/policy/policy.js';
import { openStepped } from '../../support/policy/stepped.js';
import { tinyDirectory } from '../../support/tiny.js';

let pkg: Package;
let zero: PolicyVersion;

beforeAll(async () => {
  pkg = await loadPackage(tinyDirectory);
  zero = await makeVersion(pkg, 0, 0);
});

async function open(options: Partial<PolicyOptions> = {}): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: zero, ...options });
  onTestFinished(() => policy.close());
  return policy;
}

async function reference(of: Package, version?: PolicyVersion): Promise<ReferenceModel> {
  const model = await ReferenceModel.open(of, version?.adapter);
  onTestFinished(() => model.close());
  return model;
}

async function expectLogprobs(model: ReferenceModel, prompt: readonly number[], result: Collected): Promise<void> {
  for (const { tokens, logprobs } of result.completions) {
    expect(largestDifference(logprobs, await model.logprobs(prompt, tokens))).toBeLessThan(1e-4);
  }
}

describe('completions', () => {
  test('have the log-probabilities of a forward pass without cache, when many requests of different lengths run', async () => {
    const policy = await open({ maxSequences: 8, prefillChunk: 16 });
    const model = await reference(pkg);
    const prompts = [1, 5, 16, 17, 40, 63, 64, 90].map((length) => randomTokens(length, length));
    const results = await Promise.all(
      prompts.map((prompt, i) =>
        collect(policy.complete(request(prompt, { seed: i, n: 1 + (i % 3), sampling: { maxTokens: 8 + 3 * i } }))),
      ),
    );
    for (const [i, result] of results.entries()) {
      expect(result.completions).toHaveLength(1 + (i % 3));
      for (const completion of result.completions) {
        expect(completion.reason).toBe('length');
        expect(completion.tokens).toHaveLength(8 + 3 * i);
      }
      await expectLogprobs(model, prompts[i] as number[], result);
    }
  });

  test('run on the adapter of their version', async () => {
    const version = await makeVersion(pkg, 1, 11);
    const policy = await open({ version });
    const prompt = randomTokens(20, 3);
    const result = await collect(policy.complete(request(prompt)));
    expect(result).toMatchObject({ version: 1, adapterDigest: version.adapterDigest });
    await expectLogprobs(await reference(pkg, version), prompt, result);
    const base = await (await reference(pkg)).logprobs(prompt, result.completions[0]?.tokens ?? []);
    expect(largestDifference(base, result.completions[0]?.logprobs ?? [])).toBeGreaterThan(0.01);
  });

  test('reuse a computed beginning of their prompt, but only with the same weights', async () => {
    const version = await makeVersion(pkg, 1, 11);
    const policy = await open({ held: [version], prefillChunk: 16 });
    const prompt = randomTokens(40, 9);
    const first = await collect(policy.complete(request(prompt, { seed: 5 })));
    const again = await collect(policy.complete(request([...prompt, 7, 8])));
    const other = await collect(policy.complete({ ...request(prompt, { seed: 5 }), version: 1 }));
    expect([first, again, other].map(({ cachedPromptTokens }) => cachedPromptTokens)).toEqual([0, 32, 0]);
    await expectLogprobs(await reference(pkg), [...prompt, 7, 8], again);
    expect((await policy.status()).prefixCache).toMatchObject({ hitTokens: 32, lookedUpTokens: 122 });
    await expectLogprobs(await reference(pkg, version), prompt, other);
  });

  test('reuse nothing if the prefix cache has no memory', async () => {
    const policy = await open({ prefixCacheBytes: 0 });
    const prompt = randomTokens(40, 9);
    await collect(policy.complete(request(prompt)));
    expect(await collect(policy.complete(request(prompt)))).toMatchObject({ cachedPromptTokens: 0 });
  });

  test('stay right when rows outgrow their buckets beside rows of other lengths', async () => {
    const long = await makeLongPackage(700);
    const longPackage = await loadPackage(long);
    const version = await makeVersion(longPackage, 0, 21);
    const policy = await open({ pkg: longPackage, version, maxSequences: 6 });
    const model = await reference(longPackage, version);
    const lengths = [100, 126, 127, 128, 300, 500, 20];
    const results = await Promise.all(
      lengths.map((length) =>
        collect(policy.complete(request(randomTokens(length, length), { n: 2, sampling: { maxTokens: 40 } }))),
      ),
    );
    for (const [i, result] of results.entries()) {
      await expectLogprobs(model, randomTokens(lengths[i] as number, lengths[i] as number), result);
    }
  });

  test('end at the end of the context if max_tokens exceeds it', async () => {
    const policy = await open();
    const prompt = randomTokens(120, 9);
    const result = await collect(policy.complete(request(prompt, { sampling: { maxTokens: 100 } })));
    expect(result.completions[0]?.tokens).toHaveLength(8);
    expect(result.completions[0]?.reason).toBe('length');
    await expectLogprobs(await reference(pkg), prompt, result);
  });

  test('are the same for the same seed and differ for another', async () => {
    const policy = await open();
    const run = async (seed: number) =>
      (await collect(policy.complete(request(randomTokens(10, 1), { seed, n: 2 })))).completions.map(
        ({ tokens }) => tokens,
      );
    const [first, again, other] = [await run(5), await run(5), await run(6)];
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
  });

  test('start as slots become free, if a request has more of them than there are slots', async () => {
    const policy = await open({ maxSequences: 3 });
    const prompt = randomTokens(30, 2);
    const result = await collect(policy.complete(request(prompt, { n: 8, sampling: { maxTokens: 6 } })));
    expect(result.completions).toHaveLength(8);
    await expectLogprobs(await reference(pkg), prompt, result);
    expect((await policy.status()).promptTokens).toBe(30);
  });

  test('take the most probable token at temperature 0, and report the alternatives', async () => {
    const policy = await open();
    const { completions } = await collect(
      policy.complete(request(randomTokens(8, 4), { sampling: { temperature: 0, topLogprobs: 3 } })),
    );
    for (const [i, top] of completions[0]?.top.entries() ?? []) {
      expect(top).toHaveLength(3);
      expect(top[0]?.token).toBe(completions[0]?.tokens[i]);
      expect(top[0]?.logprob).toBeCloseTo(completions[0]?.logprobs[i] as number, 6);
    }
    expect(completions[0]?.top).toHaveLength(12);
  });

  test('end with an end-of-sequence token, which is part of the tokens but not of the text', async () => {
    const policy = await open();
    const bias = { logitBias: { 256: 100 }, ignoreEos: false };
    const { completions } = await collect(policy.complete(request([65, 66], { sampling: bias })));
    expect(completions[0]).toMatchObject({ tokens: [256], text: '', reason: 'stop', endOfSequence: true });
    const ignoring = await collect(
      policy.complete(request([65, 66], { sampling: { ...bias, ignoreEos: true, maxTokens: 3 } })),
    );
    expect(ignoring.completions[0]).toMatchObject({ tokens: [256, 256, 256], reason: 'length', endOfSequence: false });
  });

  test('end before a stop string that spans several tokens, without sending any of it', async () => {
    const policy = await open();
    const free = await collect(policy.complete(request([72, 105], { seed: 3, sampling: { maxTokens: 30, topK: 60 } })));
    const text = free.completions[0]?.text ?? '';
    const stop = [...text].slice(6, 9).join('');
    const pieces: string[] = [];
    const cut = await collect(
      policy.complete(request([72, 105], { seed: 3, sampling: { maxTokens: 30, topK: 60, stop: [stop] } })),
      (event) => event.type === 'tokens' && pieces.push(event.text),
    );
    expect(cut.completions[0]).toMatchObject({
      reason: 'stop',
      endOfSequence: false,
      text: text.slice(0, text.indexOf(stop)),
    });
    expect(pieces.join('')).not.toContain(stop);
  });
});

describe('requests', () => {
  test('end as cancelled and free their slots if they are aborted', async () => {
    const { policy, steps } = await openStepped({ pkg, version: zero, maxSequences: 2 });
    const abort = new AbortController();
    const running = collect(
      policy.complete(request([1, 2], { n: 2, sampling: { maxTokens: 120 } }), abort.signal),
      (event) => event.type === 'tokens' && abort.abort(),
    );
    const waiting = collect(policy.complete(request([1, 2, 3], { sampling: { maxTokens: 3 } })));
    expect((await steps.settle(running)).completions.map(({ reason }) => reason)).toEqual(['cancelled', 'cancelled']);
    expect((await steps.settle(waiting)).completions[0]?.reason).toBe('length');
    const status = await policy.status();
    expect(status).toMatchObject({ runningSequences: 0, queuedRequests: 0 });
    // Each aborted completion may draw two tokens up to the turn of its abort, and the other one draws three.
    expect(status.generatedTokens).toBeLessThanOrEqual(2 * 2 + 3);
  });

  test('end as cancelled without a start if they are aborted while they wait', async () => {
    const { policy, steps } = await openStepped({ pkg, version: zero, maxSequences: 1 });
    const running = collect(policy.complete(request([1], { sampling: { maxTokens: 60 } })));
    const abort = new AbortController();
    const waiting = collect(policy.complete(request([2], { n: 2 }), abort.signal));
    await steps.until(({ runningSequences }) => runningSequences === 1);
    abort.abort();
    expect((await steps.settle(waiting)).completions.map(({ reason, tokens }) => [reason, tokens.length])).toEqual([
      ['cancelled', 0],
      ['cancelled', 0],
    ]);
    expect((await steps.settle(running)).completions[0]?.reason).toBe('length');
    const before = collect(policy.complete(request([2]), AbortSignal.abort()));
    expect((await steps.settle(before)).completions[0]?.reason).toBe('cancelled');
  });

  test('are cancelled if their reader leaves the loop', async () => {
    const policy = await open();
    for await (const event of policy.complete(request([1], { sampling: { maxTokens: 120 } }))) {
      if (event.type === 'tokens') break;
    }
    const after = await collect(policy.complete(request([1], { sampling: { maxTokens: 2 } })));
    expect(after.completions[0]?.tokens).toHaveLength(2);
    expect(await policy.status()).toMatchObject({ runningSequences: 0 });
  });

  test('are refused beyond the limit of the queue, with the time after which to try again', async () => {
    const policy = await open({ maxSequences: 1, maxQueue: 2 });
    const results = await Promise.allSettled([1, 2, 3].map((token) => collect(policy.complete(request([token])))));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect((results[2] as PromiseRejectedResult).reason).toMatchObject({
      code: 'QUEUE_FULL',
      retryAfterMs: expect.any(Number),
    });
  });

  test('are refused if their prompt, number of completions, logit bias or version is unusable', async () => {
    const policy = await open();
    const refused = (promise: Promise<unknown>) => expect(promise).rejects;
    await refused(collect(policy.complete(request([])))).toMatchObject({ code: 'INVALID_REQUEST' });
    await refused(collect(policy.complete(request([260])))).toMatchObject({ code: 'INVALID_REQUEST' });
    await refused(collect(policy.complete(request([1], { n: 0 })))).toMatchObject({ code: 'INVALID_REQUEST' });
    await refused(collect(policy.complete(request([1], { sampling: { logitBias: { 999: 1 } } })))).toMatchObject({
      code: 'INVALID_REQUEST',
    });
    await refused(collect(policy.complete(request(randomTokens(128, 1))))).toMatchObject({ code: 'PROMPT_TOO_LONG' });
    await refused(collect(policy.complete(request([1], { version: 9 })))).toMatchObject({
      code: 'VERSION_NOT_SERVABLE',
    });
  });

  test('are refused after the policy has closed, which lets running requests end', async () => {
    const policy = await openPolicy({ pkg, version: zero });
    const running = collect(policy.complete(request([1], { sampling: { maxTokens: 50 } })));
    const closed = policy.close();
    expect((await running).completions[0]?.tokens).toHaveLength(50);
    await closed;
    await policy.close();
    await expect(collect(policy.complete(request([1])))).rejects.toMatchObject({ code: 'DRAINING' });
  });
});

describe('slow readers', () => {
  let policy: Policy;
  beforeAll(async () => {
    policy = await openPolicy({ pkg, version: zero });
  });
  afterAll(() => policy.close());

  test('get all unread tokens of a completion in one chunk', async () => {
    const events = policy.complete(request([1], { n: 2, sampling: { maxTokens: 40 } }))[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ type: 'started' });
    while ((await policy.status()).generatedTokens < 80) await new Promise((resolve) => setImmediate(resolve));
    const rest: string[] = [];
    for (let next = await events.next(); !next.done; next = await events.next()) rest.push(next.value.type);
    expect(rest).toEqual(['tokens', 'tokens', 'finished', 'finished']);
  });
});
