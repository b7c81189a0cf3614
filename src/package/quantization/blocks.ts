/**
 * Quantises a weight in blocks, in the layout of MatMulNBits (com.microsoft).
 *
 * A weight [out, in] is cut along `in` into blocks. Each block has a scale, and a value is `(code - 2^(bits - 1)) *
 * scale`. Codes are stored as [out, blocks, bytes per block]. At 4 bits a byte holds two codes, the first in the low
 * half. If the weight ends within its last block, the rest of the block holds codes of 0.
 *
 * At 8 bits the largest value of a block decides its scale. At 4 bits there are only 16 levels, so the scale with the
 * least squared error is searched. docs/quantization.md explains why there is no zero point per block.
 */

export const blockSizes = [16, 32, 64, 128] as const;

export interface BlockFormat {
  readonly bits: 4 | 8;
  /** Values that share a scale. */
  readonly blockSize: (typeof blockSizes)[number];
}

/**
 * Default block sizes by bits. At 8 bits, large blocks are faster and cost almost no quality; at 4 bits they cost some.
 */
export const defaultBlockSizes = { 8: 128, 4: 32 } as const;

/** The codes and scales of a weight. */
export interface QuantizedWeight {
  /** [out, blocks, blockSize * bits / 8] */
  readonly codes: Uint8Array;
  /** [out, blocks] */
  readonly scales: Float32Array;
}

/**
 * Scales that are tried at 4 bits, relative to the scale that gives the largest value the outermost code. Below 1, the
 * largest values are clipped and the others get finer steps.
 */
const triedScales = [1.14, 1.07, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7] as const;

/** Quantises a weight block by block, in any order. */
export class BlockQuantizer {
  /** Blocks of one row. */
  readonly blocks: number;
  readonly result: QuantizedWeight;
  readonly #bits: 4 | 8;

  constructor({ bits, blockSize }: BlockFormat, outFeatures: number, inFeatures: number) {
    this.#bits = bits;
    this.blocks = Math.ceil(inFeatures / blockSize);
    this.result = {
      codes: new Uint8Array((outFeatures * this.blocks * blockSize * bits) / 8),
      scales: new Float32Array(outFeatures * this.blocks),
    };
  }

  /**
   * Encodes one block.
   * @param values blockSize values, filled up with zeros after the end of the weight
   */
  encode(out: number, block: number, values: Float32Array): void {
    const at = out * this.blocks + block;
    if (this.#bits === 8) this.#encodeBytes(at, values);
    else this.#encodeNibbles(at, values);
  }

  #encodeBytes(at: number, values: Float32Array): void {
    const { codes, scales } = this.result;
    let largest = 0;
    for (const value of values) largest = Math.max(largest, Math.abs(value));
    const scale = Math.fround(largest / 127);
    scales[at] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    const start = at * values.length;
    for (let i = 0; i < values.length; i++) codes[start + i] = clampedCode((values[i] as number) * inverse, 128);
  }

  #encodeNibbles(at: number, values: Float32Array): void {
    const { codes, scales } = this.result;
    const { inverse, scale } = searchScale(values);
    scales[at] = scale;
    const start = (at * values.length) / 2;
    for (let i = 0; i < values.length; i += 2) {
      const low = clampedCode((values[i] as number) * inverse, 8);
      codes[start + i / 2] = low | (clampedCode((values[i + 1] as number) * inverse, 8) << 4);
    }
  }
}

/** Returns the nearest of the codes 0 to 2 * zero - 1, in which the code `zero` means the value 0. */
function clampedCode(steps: number, zero: number): number {
  // `| 0` rounds a negative number towards 0, which is right too, because negative codes are clamped to 0.
  const code = (steps + zero + 0.5) | 0;
  return code < 0 ? 0 : code >= 2 * zero ? 2 * zero - 1 : code;
}

/**
 * Returns the factor that turns values into codes, and the scale that turns these codes back with the least squared
 * error. The scale is negative if the outermost code, -8, means a positive value.
 */
function searchScale(values: Float32Array): { inverse: number; scale: number } {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  let best = { inverse: 0, scale: 0 };
  if (largest === 0) return best;
  // The squared error of codes q under their best scale is sum v^2 - (sum v q)^2 / sum q^2.
  let mostExplained = -1;
  for (const share of triedScales) {
    for (const sign of [1, -1]) {
      const inverse = (sign * 8) / (share * largest);
      let products = 0;
      let squares = 0;
      for (let i = 0; i < values.length; i++) {
        const value = values[i] as number;
        const q = clampedCode(value * inverse, 8) - 8;
        products += value * q;
        squares += q * q;
      }
      const explained = squares === 0 ? 0 : products ** 2 / squares;
      if (explained > mostExplained) {
        mostExplained = explained;
        best = { inverse, scale: squares === 0 ? 0 : Math.fround(products / squares) };
      }
    }
  }
  return best;
}
