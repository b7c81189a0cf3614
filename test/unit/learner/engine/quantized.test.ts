/** Learning through quantised weights: gradients are those of the decoded weights. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxEngine } from '../../../../src/learner/engine/onnx-engine.js';
import { createOnnxEngine, differentiateCopg, type Parameters } from '../../../../src/learner/index.js';
import { createRandom } from '../../../../src/learner/random.js';
import { quantizeForTest } from '../../../support/quantized.js';
import { tinyDirectory } from '../../../support/tiny.js';

const rank = 3;

function randomParameters(engine: OnnxEngine): Parameters {
  const random = createRandom(5);
  const matrix = (rows: number, columns: number) => ({
    dims: [rows, columns],
    data: Float32Array.from({ length: rows * columns }, () => 0.6 * (random() - 0.5)),
  });
  return new Map(
    engine.targets.flatMap(({ module, inFeatures, outFeatures }) => [
      [`${module}.lora_A`, matrix(inFeatures, rank)] as const,
      [`${module}.lora_B`, matrix(rank, outFeatures)] as const,
    ]),
  );
}

const tokens = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => (seed * 7919 + i * 613) % 256);
const batch = {
  rows: [0, 1, 2, 3].map((i) => ({ promptTokens: tokens(9, i >> 1), completionTokens: tokens(5 + i, 10 + i) })),
  groups: [0, 0, 1, 1],
  rewards: [0.1, 0.9, 0.4, 0.5],
  values: [0, 0, 0, 0],
  referenceLogprobs: [-20, -25, -30, -35],
  beta: 0.05,
};

// The layers are 32 and 48 wide: blocks of 64 are never full, and blocks of 32 leave half a block of the 48.
describe.each([
  { bits: 8, blockSize: 32 },
  { bits: 8, blockSize: 64 },
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 16 },
] as const)('through weights of $bits bits in blocks of $blockSize', (format) => {
  let quantized: OnnxEngine;
  let decoded: OnnxEngine;
  beforeAll(async () => {
    const folders = await quantizeForTest(tinyDirectory, format);
    const options = { rank, scale: 2, threads: 1 };
    quantized = await createOnnxEngine({ ...options, packageDirectory: folders.quantized });
    decoded = await createOnnxEngine({ ...options, packageDirectory: folders.decoded });
  });
  afterAll(async () => {
    await quantized?.close();
    await decoded?.close();
  });

  it('adapters are on the same layers as without quantisation', () => {
    expect(quantized.targets).toEqual(decoded.targets);
    expect(quantized.targets).toHaveLength(14);
  });

  it('gradients and log-probabilities are those of the decoded float32 weights', async () => {
    const parameters = randomParameters(quantized);
    const [through, plain] = [
      await differentiateCopg(quantized, batch, parameters),
      await differentiateCopg(decoded, batch, parameters),
    ];
    for (const [i, logprob] of plain.logprobs.entries()) {
      expect(Math.abs((through.logprobs[i] as number) - logprob)).toBeLessThan(1e-5 * Math.abs(logprob));
    }
    expect(through.gradients.size).toBe(28);
    for (const [name, gradient] of plain.gradients) {
      const other = through.gradients.get(name) as Float32Array;
      const norm = Math.hypot(...gradient);
      expect(norm, name).toBeGreaterThan(0);
      expect(Math.hypot(...gradient.map((g, k) => g - (other[k] as number))) / norm, name).toBeLessThan(1e-5);
    }
  });

  it('gradients differ from those of the weights before quantisation', async () => {
    const original = await createOnnxEngine({ rank, scale: 2, threads: 1, packageDirectory: tinyDirectory });
    const parameters = randomParameters(quantized);
    const [through, before] = [
      await differentiateCopg(quantized, batch, parameters),
      await differentiateCopg(original, batch, parameters),
    ];
    await original.close();
    const differences = [...before.gradients].map(([name, gradient]) => {
      const other = through.gradients.get(name) as Float32Array;
      return Math.hypot(...gradient.map((g, k) => g - (other[k] as number))) / Math.hypot(...gradient);
    });
    expect(Math.min(...differences)).toBeGreaterThan(1e-4);
  });
});
