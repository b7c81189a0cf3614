/**
 * Block-wise quantisation of a weight, in the layout of MatMulNBits (com.microsoft).
 *
 * A weight [out, in] is cut along `in` into blocks; each has a scale and a zero point, and a value is
 * `(code - zero point) * scale`. Codes lie [out, blocks, bytes per block], two to a byte at 4 bits, the first in the low
 * half; a last block that the weight does not fill ends in zero points, so that what they stand for is 0.
 *
 * 8 bits are symmetric: the zero point is 128 and stored nowhere, the largest value decides the scale. 4 bits have a
 * zero point per block, and range and zero point are searched for the least squared error, for 16 levels leave little to
 * give away: docs/quantization.md has the measurements of both choices.
 */

export const blockSizes = [16, 32, 64, 128] as const;

export interface BlockFormat {
  readonly bits: 4 | 8;
  /** Values that share a scale. */
  readonly blockSize: (typeof blockSizes)[number];
}

/** A weight in codes. */
export interface QuantizedWeight {
  /** [out, blocks, blockSize * bits / 8] */
  readonly codes: Uint8Array;
  /** [out, blocks] */
  readonly scales: Float32Array;
  /** [out, ceil(blocks * bits / 8)]; null: 2^(bits - 1) everywhere. */
  readonly zeroPoints: Uint8Array | null;
}

/** How much of a block's range is kept, from all of it down; clipping the outermost value often costs less than coarse steps. */
const keptShares = [1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68] as const;
const zeroPointSteps = [0, -1, 1] as const;

export class BlockQuantizer {
  readonly blocks: number;
  readonly result: QuantizedWeight;
  readonly #format: BlockFormat;
  readonly #zeroPointBytes: number;

  constructor(format: BlockFormat, outFeatures: number, inFeatures: number) {
    this.#format = format;
    this.blocks = Math.ceil(inFeatures / format.blockSize);
    this.#zeroPointBytes = Math.ceil((this.blocks * format.bits) / 8);
    this.result = {
      codes: new Uint8Array((outFeatures * this.blocks * format.blockSize * format.bits) / 8),
      scales: new Float32Array(outFeatures * this.blocks),
      zeroPoints: format.bits === 4 ? new Uint8Array(outFeatures * this.#zeroPointBytes) : null,
    };
  }

  /**
   * Encodes one block.
   * @param values of length blockSize, zeros where the weight ends
   */
  encode(out: number, block: number, values: Float32Array): void {
    const at = out * this.blocks + block;
    if (this.#format.bits === 8) this.#encodeBytes(at, values);
    else this.#encodeNibbles(at, out, block, values);
  }

  #encodeBytes(at: number, values: Float32Array): void {
    const { codes, scales } = this.result;
    let largest = 0;
    for (const value of values) largest = Math.max(largest, Math.abs(value));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : 1 / scale;
    scales[at] = scale;
    const start = at * values.length;
    // Adding 128.5 before the cut rounds to the nearest code; 127 rounded up must not wrap.
    for (let i = 0; i < values.length; i++) codes[start + i] = Math.min(255, (values[i] as number) * inverse + 128.5);
  }

  #encodeNibbles(at: number, out: number, block: number, values: Float32Array): void {
    const { codes, scales, zeroPoints } = this.result;
    const { step, zeroPoint, scale } = searchRange(values);
    scales[at] = scale;
    if (zeroPoints !== null) {
      const byte = out * this.#zeroPointBytes + (block >> 1);
      zeroPoints[byte] = (zeroPoints[byte] as number) | (zeroPoint << (4 * (block & 1)));
    }
    const start = (at * values.length) / 2;
    for (let i = 0; i < values.length; i += 2) {
      const low = nibble(values[i] as number, step, zeroPoint);
      codes[start + i / 2] = low | (nibble(values[i + 1] as number, step, zeroPoint) << 4);
    }
  }
}

/** The code of 0 to 15 that is nearest; a step of 0 stands for a block of zeros. */
function nibble(value: number, step: number, zeroPoint: number): number {
  const code = step === 0 ? zeroPoint : (value / step + zeroPoint + 0.5) | 0;
  return code < 0 ? 0 : code > 15 ? 15 : code;
}

/**
 * The step by which values are coded, the zero point, and the scale by which they are decoded: the least-squares one for
 * these codes.
 */
function searchRange(values: Float32Array): { step: number; zeroPoint: number; scale: number } {
  let low = 0;
  let high = 0;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  let best = { step: 0, zeroPoint: 8, scale: 0 };
  if (low === high) return best;
  // The squared error of codes q under their least-squares scale is sum v^2 - (sum v q)^2 / sum q^2.
  let mostExplained = -1;
  for (const share of keptShares) {
    const step = (share * (high - low)) / 15;
    const nearest = Math.round((-share * low) / step);
    for (const shift of zeroPointSteps) {
      const zeroPoint = nearest + shift;
      if (zeroPoint < 0 || zeroPoint > 15) continue;
      let products = 0;
      let squares = 0;
      for (let i = 0; i < values.length; i++) {
        const value = values[i] as number;
        const q = nibble(value, step, zeroPoint) - zeroPoint;
        products += value * q;
        squares += q * q;
      }
      const explained = squares === 0 ? 0 : products ** 2 / squares;
      if (explained > mostExplained) {
        mostExplained = explained;
        best = { step, zeroPoint, scale: squares === 0 ? 0 : Math.fround(products / squares) };
      }
    }
  }
  return best;
}
