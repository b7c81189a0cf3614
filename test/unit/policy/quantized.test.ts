/** Serving quantised weights: exact where activations stay float32, within a bound where they are quantised too. */

import { afterEach, describe, expect, it } from 'vitest';
import { type BlockFormat, loadPackage } from '../../../src/package/index.js';
import { createDecoder } from '../../../src/policy/decoder.js';
import { adapterFeeds } from '../../../src/policy/held-versions.js';
import { KvCache } from '../../../src/policy/kv-cache.js';
import { type QuantizedFolders, quantizeForTest, setAccuracy } from '../../support/quantized.js';
import { tinyDirectory } from '../package/tiny.js';
import { adapterScale, largestDifference, makeVersion, ReferenceModel, randomTokens } from './support.js';

let folders: QuantizedFolders | undefined;
afterEach(() => {
  folders?.[Symbol.dispose]();
  folders = undefined;
});

/** Largest difference of served logits, chunk and steps, from those of the decoded weights under the same adapter. */
async function servedDifference(format: BlockFormat, level?: number): Promise<{ difference: number; largest: number }> {
  folders = await quantizeForTest(tinyDirectory, format);
  if (level !== undefined) await setAccuracy(folders.quantized, level);
  const [pkg, decoded] = [await loadPackage(folders.quantized), await loadPackage(folders.decoded)];
  const { adapter } = await makeVersion(decoded, 1, 3);
  const { modelPath, config } = pkg;
  const contextLength = config.contextLength;
  const decoder = await createDecoder({ modelPath, contextLength, scale: adapterScale, threads: 1, spin: false });
  const reference = await ReferenceModel.open(decoded, adapter);
  const tokens = randomTokens(20, 4);
  const expected = await reference.logits(tokens);
  const feeds = adapterFeeds(adapter);
  const cache = new KvCache(decoder.shape);
  const { prefix, logits } = await decoder.prefill(tokens.slice(0, 12), feeds);
  const served = [logits.data.slice()];
  cache.append(prefix);
  for (const token of tokens.slice(12)) served.push((await decoder.step(cache, [token], feeds)).data.slice());
  await decoder.close();
  await reference.close();
  const differences = served.map((one, i) => largestDifference(one, expected[11 + i] as Float32Array));
  return {
    difference: Math.max(...differences),
    largest: Math.max(...expected.flatMap((row) => Array.from(row, Math.abs))),
  };
}

describe.each([
  { bits: 8, blockSize: 32 },
  { bits: 8, blockSize: 64 },
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 16 },
] as const)('a decoder of $bits bits in blocks of $blockSize', (format) => {
  it.each([0, 1])('serves at accuracy level %i what the decoded weights would, adapters included', async (level) => {
    expect((await servedDifference(format, level)).difference).toBeLessThan(1e-4);
  });

  it('serves within 2 percent of the largest logit when activations are quantised too, which is the default', async () => {
    const { difference, largest } = await servedDifference(format);
    expect(difference).toBeLessThan(0.02 * largest);
    expect(difference).toBeGreaterThan(1e-4);
  });
});
