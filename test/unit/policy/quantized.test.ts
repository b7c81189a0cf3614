/** Serving quantised weights: exact where activations stay float32, within a bound where they are quantised too. */

import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeModel, readModel } from '../../../src/onnx/index.js';
import { loadPackage } from '../../../src/package/index.js';
import { openPolicy } from '../../../src/policy/index.js';
import { temporaryFolder } from '../../support/folders.js';
import {
  collect,
  largestDifference,
  makeVersion,
  ReferenceModel,
  randomTokens,
  request,
} from '../../support/policy/policy.js';
import { type QuantizedFolders, quantizeForTest, setAccuracy } from '../../support/quantized.js';
import { tinyDirectory } from '../../support/tiny.js';

/** Makes a package one that another program has written. */
async function setProducer(directory: string): Promise<void> {
  const path = join(directory, 'onnx/model.onnx');
  const graph = await readModel(path);
  graph.producer = 'another';
  await writeFile(path, encodeModel(graph));
}

/**
 * Largest difference of served log-probabilities from those of the decoded weights under the same adapter, nats.
 * @param edit what is changed in a copy of the quantised package first
 */
async function servedDifference(
  { quantized, decoded }: QuantizedFolders,
  edit: (directory: string) => Promise<void> = async () => undefined,
): Promise<number> {
  const edited = temporaryFolder();
  await cp(quantized, edited, { recursive: true });
  await edit(edited);
  const [pkg, plain] = [await loadPackage(edited), await loadPackage(decoded)];
  const version = await makeVersion(plain, 1, 3);
  await using policy = await openPolicy({ pkg, version, threads: 1, spin: false });
  const reference = await ReferenceModel.open(plain, version.adapter);
  const prompt = randomTokens(40, 4);
  const sampling = { maxTokens: 24, ignoreEos: true };
  const { completions } = await collect(policy.complete(request(prompt, { n: 3, sampling })));
  const differences: number[] = [];
  for (const { tokens, logprobs } of completions) {
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

  it.each([0, 1])(
    'gives at accuracy level %i the log-probabilities of the decoded weights, adapters included',
    async (level) => {
      expect(await servedDifference(folders, (directory) => setAccuracy(directory, level))).toBeLessThan(1e-4);
    },
  );

  it('computes what a file of another program says, which is no quantised activations where it says nothing', async () => {
    expect(await servedDifference(folders, setProducer)).toBeLessThan(1e-4);
  });

  it('stays within 0.1 nats of them when activations are quantised too, which is the default', async () => {
    const difference = await servedDifference(folders);
    expect(difference).toBeLessThan(0.1);
    expect(difference).toBeGreaterThan(1e-4);
  });
});
