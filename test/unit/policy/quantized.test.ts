/** Serving quantised weights: exact where activations stay float32, within a bound where they are quantised too. */

import { beforeAll, describe, expect, it } from 'vitest';
import { loadPackage } from '../../../src/package/index.js';
import { openPolicy } from '../../../src/policy/index.js';
import { type QuantizedFolders, quantizeForTest, setAccuracy } from '../../support/quantized.js';
import { tinyDirectory } from '../package/tiny.js';
import { collect, largestDifference, makeVersion, ReferenceModel, randomTokens, request } from './support.js';

/** Largest difference of served log-probabilities from those of the decoded weights under the same adapter, nats. */
async function servedDifference({ quantized, decoded }: QuantizedFolders): Promise<number> {
  const [pkg, plain] = [await loadPackage(quantized), await loadPackage(decoded)];
  const version = await makeVersion(plain, 1, 3);
  await using policy = await openPolicy({ pkg, version, threads: 1, spin: false });
  const reference = await ReferenceModel.open(plain, version.adapter);
  const prompt = randomTokens(40, 4);
  const sampling = { maxTokens: 24, ignoreEos: true };
  const { candidates } = await collect(policy.complete(request(prompt, { n: 3, sampling })));
  const differences: number[] = [];
  for (const { tokens, logprobs } of candidates) {
    differences.push(largestDifference(logprobs, await reference.logprobs(prompt, tokens)));
  }
  await reference.close();
  return Math.max(...differences);
}

describe.each([
  { bits: 8, blockSize: 32 },
  { bits: 8, blockSize: 64 },
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 16 },
] as const)('a policy of $bits bits in blocks of $blockSize', (format) => {
  let folders: QuantizedFolders;
  beforeAll(async () => {
    folders = await quantizeForTest(tinyDirectory, format);
  });

  it('stays within 0.1 nats of the decoded weights, since activations are quantised too, which is the default', async () => {
    const difference = await servedDifference(folders);
    expect(difference).toBeLessThan(0.1);
    expect(difference).toBeGreaterThan(1e-4);
  });

  it.each([0, 1])('gives at accuracy level %i their log-probabilities, adapters included', async (level) => {
    await setAccuracy(folders.quantized, level);
    expect(await servedDifference(folders)).toBeLessThan(1e-4);
  });
});
