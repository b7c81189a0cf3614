/** Decodes the element types in which checkpoints keep weights into float32, which holds all of their values. */

import { elementTypes } from '../../onnx/index.js';

/** Bytes per element of the types that are decoded, by their names in safetensors files. */
export const decodedTypes: Readonly<Record<string, number>> = { F32: elementTypes.float32.bytes, F16: 2, BF16: 2 };

/** All float16 values by their bits. A look-up is several times faster than computing each value. */
let halves: Float32Array | undefined;

/**
 * Returns the values of little-endian bytes.
 * @param type one of {@link decodedTypes}
 */
export function decodeElements(type: string, bytes: Uint8Array): Float32Array {
  // A copy is needed where the bytes are not aligned.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  if (type === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const values = new Float32Array(bits.length);
  if (type === 'BF16') {
    // A bfloat16 is the upper half of a float32.
    const whole = new Uint32Array(values.buffer);
    for (let i = 0; i < bits.length; i++) whole[i] = (bits[i] as number) << 16;
    return values;
  }
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, half) => halfValue(half));
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i] as number] as number;
  return values;
}

function halfValue(half: number): number {
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
