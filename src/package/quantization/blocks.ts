/**
 * Block-wise quantisation of a weight, in the layout of MatMulNBits (com.microsoft).
 *
 * A weight [out, in] is cut along `in` into blocks that have a scale each; a value is `(code - 2^(bits - 1)) * scale`.
 * Codes lie [out, blocks, bytes per block], two to a byte at 4 bits, the first in the low half; where the weight ends
 * within its last block, the codes of 0 go on.
 *
 * At 8 bits the largest value of a block decides its scale. At 4 bits the scale is searched for the least squared error:
 * 16 levels leave little to give away. A zero point per block was tried; docs/quantization.md says why there is none.
 */

export const blockSizes = [16, 32, 64, 128] as const;

export interface BlockFormat {
  readonly bits: 4 | 8;
  /** Values that share a scale. */
  readonly blockSize: (typeof blockSizes)[number];
}

/**
 * What packages are written with unless told otherwise, by bits. At 8, large blocks are faster and cost next to nothing
 * in quality; at 4 they cost some.
 */
export const defaultBlockSizes = { 8: 128, 4: 32 } as const;

/** A weight in codes. */
export interface QuantizedWeight {
  /** [out, blocks, blockSize * bits / 8] */
  readonly codes: Uint8Array;
  /** [out, blocks] */
  readonly scales: Float32Array;
}

/**
 * Scales that are tried at 4 bits, as shares of the one that gives the largest value the outermost code: below 1, the
 * outermost values are clipped and the others get finer steps.
 */
const triedScales = [1.14, 1.07, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7] as const;

/** Takes a weight block by block, in any order. */
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
   * @param values of length blockSize, zeros where the weight ends
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

/** The nearest of the codes 0 to 2 * zero - 1, where `zero` stands for 0. */
function clampedCode(steps: number, zero: number): number {
  // Cutting what is below 0 to 0 is right as well: it is clamped there.
  const code = (steps + zero + 0.5) | 0;
  return code < 0 ? 0 : code >= 2 * zero ? 2 * zero - 1 : code;
}

/**
 * By what values are multiplied to be coded, and the scale by which the codes are decoded: the one of least squared
 * error for these codes. The scale is negative where the outermost code, -8, stands for a positive value.
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
