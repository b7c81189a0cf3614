/** Decodes the floating-point types in which files keep weights into float32. */

import type { ElementType } from './tensor.js';

/** Types of floating-point numbers. Float32 holds all values of the others, except for those of float64. */
export const floatTypes = ['float32', 'float16', 'bfloat16', 'float64'] as const satisfies readonly ElementType[];

export type FloatType = (typeof floatTypes)[number];

export function isFloatType(type: ElementType | undefined): type is FloatType {
  return floatTypes.some((float) => float === type);
}

/** All float16 values by their bits. A look-up is several times faster than computing each value. */
let halves: Float32Array | undefined;

/** Returns the values of little-endian bytes, which may share their memory. A float64 is rounded to float32. */
export function decodeFloats(type: FloatType, bytes: Uint8Array): Float32Array {
  // A copy is needed where the bytes are not aligned. Those of a Buffer are copied too, because its slice() would not.
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = aligned;
  if (type === 'float32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (type === 'float64') return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
  const bits = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const values = new Float32Array(bits.length);
  if (type === 'bfloat16') {
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
