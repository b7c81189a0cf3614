/** Block-wise quantisation of arbitrary weights, compared with a plain decoder of the format. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BlockFormat, BlockQuantizer, blockSizes } from '../../src/package/quantization/blocks.js';
import { decodeCodes } from '../support/quantized.js';

const formats = fc.record({ bits: fc.constantFrom(4 as const, 8 as const), blockSize: fc.constantFrom(...blockSizes) });
const weights = fc.record({
  outFeatures: fc.integer({ min: 1, max: 5 }),
  inFeatures: fc.integer({ min: 1, max: 150 }),
  seed: fc.integer(),
  size: fc.constantFrom(1e-30, 1e-3, 1, 1e20),
});

function randomWeight(count: number, seed: number, size: number): Float32Array {
  let state = seed | 1;
  return Float32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    // Every eighth value is zero, and some values are outliers.
    return state % 8 === 0 ? 0 : size * (state / 2 ** 31) * (state % 29 === 0 ? 20 : 1);
  });
}

function quantized(format: BlockFormat, weight: Float32Array, outFeatures: number, inFeatures: number) {
  const quantizer = new BlockQuantizer(format, outFeatures, inFeatures);
  const { blockSize } = format;
  for (let out = 0; out < outFeatures; out++) {
    for (let block = 0; block < quantizer.blocks; block++) {
      const values = new Float32Array(blockSize);
      const start = block * blockSize;
      values.set(weight.subarray(out * inFeatures + start, out * inFeatures + Math.min(start + blockSize, inFeatures)));
      quantizer.encode(out, block, values);
    }
  }
  return quantizer.result;
}

it('every quantised value decodes within half a step of its block at 8 bits, and within the bound of the search at 4', () => {
  fc.assert(
    fc.property(formats, weights, (format, { outFeatures, inFeatures, seed, size }) => {
      const weight = randomWeight(outFeatures * inFeatures, seed, size);
      const { codes, scales } = quantized(format, weight, outFeatures, inFeatures);
      const decoded = decodeCodes(codes, scales, format, outFeatures, inFeatures);
      for (let out = 0; out < outFeatures; out++) {
        for (let start = 0; start < inFeatures; start += format.blockSize) {
          const end = out * inFeatures + Math.min(start + format.blockSize, inFeatures);
          const block = weight.subarray(out * inFeatures + start, end);
          const back = decoded.subarray(out * inFeatures + start, end);
          const largest = Math.max(...block.map(Math.abs));
          const errors = block.map((value, i) => value - (back[i] as number));
          if (format.bits === 8) {
            expect(Math.max(...errors.map(Math.abs))).toBeLessThanOrEqual(largest * (0.5 / 127) * (1 + 1e-5));
          } else {
            // It is no worse than plain rounding with the outermost code for the largest value. Scales are float32.
            const rounding = block.length * (largest * 2 ** -22) ** 2;
            expect(squared(errors)).toBeLessThanOrEqual(plainRounding(block, largest) * (1 + 1e-4) + rounding);
          }
        }
      }
    }),
  );
});

function squared(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value ** 2, 0);
}

/** Squared error of a 4-bit block whose largest value determines the scale, with the better of both signs. */
function plainRounding(block: Float32Array, largest: number): number {
  const errors = [-1, 1].map((sign) => {
    const scale = (sign * largest) / 8;
    return Array.from(block).reduce((sum, value) => {
      const code = scale === 0 ? 0 : Math.min(7, Math.max(-8, Math.floor(value / scale + 0.5)));
      return sum + (value - code * scale) ** 2;
    }, 0);
  });
  return Math.min(...errors);
}

it('a quantised weight that ends inside a block decodes to zeros beyond its end', () => {
  fc.assert(
    fc.property(formats, weights, (format, { outFeatures, inFeatures, seed, size }) => {
      const weight = randomWeight(outFeatures * inFeatures, seed, size);
      const { codes, scales } = quantized(format, weight, outFeatures, inFeatures);
      const padded = Math.ceil(inFeatures / format.blockSize) * format.blockSize;
      const whole = decodeCodes(codes, scales, format, outFeatures, padded);
      for (let out = 0; out < outFeatures; out++) {
        for (let i = inFeatures; i < padded; i++) expect(whole[out * padded + i]).toBeCloseTo(0, 12);
      }
    }),
  );
});

it('quantising decoded values again does not change them', () => {
  fc.assert(
    fc.property(weights, ({ outFeatures, inFeatures, seed, size }) => {
      const format = { bits: 8, blockSize: 32 } as const;
      const weight = randomWeight(outFeatures * inFeatures, seed, size);
      const first = quantized(format, weight, outFeatures, inFeatures);
      const decoded = decodeCodes(first.codes, first.scales, format, outFeatures, inFeatures);
      const second = quantized(format, decoded, outFeatures, inFeatures);
      expect(second.codes).toEqual(first.codes);
    }),
  );
});
