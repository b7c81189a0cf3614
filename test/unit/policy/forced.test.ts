/** Completions with given tokens: their log-probabilities are compared with an independent forward pass. */

import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { loadPackage, type Package } from '../../../src/package/index.js';
import { openPolicy, type Policy, type PolicyVersion } from '../../../src/policy/index.js';
import {
  type Collected,
  collect,
  largestDifference,
  makeVersion,
  ReferenceModel,
  randomTokens,
  request,
} from '../../support/policy/policy.js';
import { tinyDirectory } from '../../support/tiny.js';

const endToken = 256;
let pkg: Package;
let zero: PolicyVersion;
let other: PolicyVersion;

beforeAll(async () => {
  pkg = await loadPackage(tinyDirectory);
  [zero, other] = await Promise.all([makeVersion(pkg, 0, 0), makeVersion(pkg, 1, 11)]);
});

async function open(): Promise<Policy> {
  const policy = await openPolicy({ pkg, version: zero, held: [other] });
  onTestFinished(() => policy.close());
  return policy;
}

describe('forced tokens', () => {
  test('get the log-probabilities of a forward pass with the weights of their version', async () => {
    const policy = await open();
    const prompt = randomTokens(20, 1);
    const forced = [randomTokens(15, 2), randomTokens(1, 3), randomTokens(90, 4)];
    for (const version of [zero, other]) {
      const { completions } = await collect(policy.complete(request(prompt, { forced, version: version.number })));
      const model = await ReferenceModel.open(pkg, version.adapter);
      onTestFinished(() => model.close());
      for (const [i, { tokens, logprobs, sampledLogprobs, reason }] of completions.entries()) {
        expect(tokens).toEqual(forced[i]);
        expect(reason).toBe('stop');
        expect(largestDifference(logprobs, await model.logprobs(prompt, tokens))).toBeLessThan(1e-4);
        expect(sampledLogprobs).toEqual(logprobs);
      }
    }
  });

  test('get the same log-probabilities as drawn tokens, whatever the sampling settings', async () => {
    const policy = await open();
    const prompt = randomTokens(20, 1);
    const drawn = await collect(policy.complete(request(prompt, { sampling: { topLogprobs: 3 } })));
    const tokens = drawn.completions[0]?.tokens as number[];
    const settings = { temperature: 0.5, topK: 2, repetitionPenalty: 1.5, logitBias: { 7: 50 }, topLogprobs: 3 };
    const given = await collect(policy.complete(request(prompt, { forced: [tokens], sampling: settings })));
    expect(given.completions[0]?.text).toBe(drawn.completions[0]?.text);
    const likeliest = ({ completions }: Collected) =>
      completions[0]?.top.map((alternatives) => alternatives.map(({ token }) => token));
    expect(likeliest(given)).toEqual(likeliest(drawn));
    const differences = largestDifference(given.completions[0]?.logprobs ?? [], drawn.completions[0]?.logprobs ?? []);
    expect(differences).toBeLessThan(1e-5);
  });

  test('are all taken, even beyond max_tokens, stop texts and end tokens', async () => {
    const policy = await open();
    const forced = [
      [72, 105, endToken, 72, 105],
      [72, 105, endToken],
    ];
    const sampling = { maxTokens: 2, stop: ['i'], ignoreEos: false };
    const { completions } = await collect(policy.complete(request([65, 66], { forced, sampling })));
    expect(completions).toMatchObject([
      { tokens: forced[0], text: 'HiHi', reason: 'stop', endOfSequence: false },
      { tokens: forced[1], text: 'Hi', reason: 'stop', endOfSequence: true },
    ]);
  });

  test('do not change the completions beside them that draw their tokens', async () => {
    const policy = await open();
    const alone = await collect(policy.complete(request([1, 2, 3], { n: 2 })));
    const forced = [undefined, randomTokens(100, 5)];
    const mixed = await collect(policy.complete(request([1, 2, 3], { forced })));
    expect(mixed.completions[0]?.tokens).toEqual(alone.completions[0]?.tokens);
    expect(mixed.completions[0]?.reason).toBe('length');
    expect(mixed.completions[1]?.tokens).toEqual(forced[1]);
  });

  test('may fill the context to its last token, and are refused beyond it', async () => {
    const policy = await open();
    const prompt = randomTokens(100, 6);
    const whole = await collect(policy.complete(request(prompt, { forced: [randomTokens(28, 7)] })));
    expect(whole.completions[0]).toMatchObject({ reason: 'stop' });
    expect(whole.completions[0]?.tokens).toHaveLength(28);
    const refused = (forced: number[]) =>
      expect(collect(policy.complete(request(prompt, { forced: [[1], forced] })))).rejects;
    for (const forced of [randomTokens(29, 7), [], [260], [-1], [1.5]]) {
      await refused(forced).toMatchObject({
        code: 'INVALID_REQUEST',
        violations: [{ field: 'completions[1].forced' }],
      });
    }
  });
});
