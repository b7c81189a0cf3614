/** Serving quantised weights is exact if activations stay float32, and within a bound if they are quantised too. */

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

/** Makes a package look as if another program had written it. */
async function setProducer(directory: string): Promise<void> {
  const path = join(directory, 'onnx/model.onnx');
  const graph = await readModel(path);
  graph.producer = 'another';
  await writeFile(path, encodeModel(graph));
}

/**
 * Returns the largest difference, in nats, between served log-probabilities and those of the decoded weights with the
 * same adapter.
 * @param edit changes a copy of the quantised package before it is served
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
    'has the log-probabilities of the decoded weights at accuracy level %i, with adapters',
    async (level) => {
      expect(await servedDifference(folders, (directory) => setAccuracy(directory, level))).toBeLessThan(1e-4);
    },
  );

  it('does not quantise activations if another program wrote the file and set no accuracy level', async () => {
    expect(await servedDifference(folders, setProducer)).toBeLessThan(1e-4);
  });

  it('stays within 0.1 nats of the decoded weights by default, with quantised activations', async () => {
    const difference = await servedDifference(folders);
    expect(difference).toBeLessThan(0.1);
    expect(difference).toBeGreaterThan(1e-4);
  });
});
