/** Integers that stand for values, `value = (code - zero point) * scale`, as DequantizeLinear defines them. */

import {
  decodeFloats,
  type ElementType,
  elementCount,
  isFloatType,
  type Tensor,
  type WeightReader,
} from '../../onnx/index.js';
import type { NumberBook } from './number-book.js';

/** Element types of codes, with their bits. */
export const codeBits: Readonly<Partial<Record<ElementType, number>>> = {
  uint8: 8,
  int8: 8,
  uint4: 4,
  int4: 4,
  int32: 32,
};

/** Returns codes of a tensor, `count` from element `first` on. */
export async function readCodes(
  reader: WeightReader,
  tensor: Tensor,
  first: number,
  count: number,
): Promise<Int32Array> {
  const { type } = tensor;
  const codes = new Int32Array(count);
  if (type === 'uint4' || type === 'int4') {
    const start = first >> 1;
    const bytes = await reader.bytes(tensor, start, ((first + count + 1) >> 1) - start);
    for (let i = 0; i < count; i++) {
      const nibble = ((bytes[((first + i) >> 1) - start] as number) >> (4 * ((first + i) & 1))) & 15;
      codes[i] = type === 'int4' && nibble > 7 ? nibble - 16 : nibble;
    }
    return codes;
  }
  const width = type === 'int32' ? 4 : 1;
  const bytes = await reader.bytes(tensor, width * first, width * count);
  if (type === 'int32') new Uint8Array(codes.buffer).set(bytes);
  else codes.set(type === 'int8' ? Int8Array.from(bytes) : bytes);
  return codes;
}

/** Scales and zero points of a tensor of codes. */
export class CodeScale {
  /** Elements of the axis, and elements between two of its neighbours. */
  readonly #length: number;
  readonly #inner: number;
  readonly #block: number;
  /** Whether there is one scale for each index of the axis, wherever the other axes stand. */
  readonly #isVector: boolean;
  readonly #scales: Float32Array;
  readonly #points: Int32Array | null;

  /**
   * @param dims of the codes
   * @param axis along which scales differ; without an effect if there is one scale
   * @param block codes along the axis that share a scale; 0 for one scale for each index of the axis
   */
  constructor(dims: readonly number[], axis: number, block: number, scales: Float32Array, points: Int32Array | null) {
    this.#length = dims[axis] ?? 1;
    this.#inner = elementCount(dims.slice(axis + 1));
    this.#block = Math.max(1, block);
    this.#isVector = block === 0;
    this.#scales = scales;
    this.#points = points;
  }

  /** Whether one scale holds for all codes. */
  get isSingle(): boolean {
    return this.#scales.length === 1;
  }

  /** Whether all zero points are 0. */
  get isCentred(): boolean {
    return this.#points?.every((point) => point === 0) ?? true;
  }

  /** Index of the scale of an element, counted in the order of the codes. */
  #place(element: number): number {
    if (this.#scales.length === 1) return 0;
    const inner = this.#inner;
    const length = this.#length;
    const along = Math.floor(element / inner) % length;
    if (this.#isVector) return along;
    // Scales of blocks have the codes' dims, with blocks along the axis.
    const outer = Math.floor(element / (inner * length));
    return (outer * Math.ceil(length / this.#block) + Math.floor(along / this.#block)) * inner + (element % inner);
  }

  scale(element: number): number {
    return this.#scales[this.#place(element)] as number;
  }

  point(element: number): number {
    return this.#points === null ? 0 : (this.#points[this.#place(element)] as number);
  }

  /** The values of codes that begin at an element. */
  decode(codes: Int32Array, first: number): Float32Array {
    const values = new Float32Array(codes.length);
    for (let i = 0; i < codes.length; i++) {
      const place = this.#place(first + i);
      const point = this.#points === null ? 0 : (this.#points[place] as number);
      values[i] = ((codes[i] as number) - point) * (this.#scales[place] as number);
    }
    return values;
  }
}

/**
 * Reads scales and zero points.
 * @returns undefined if they do not fit the codes, or are no constants of the right types
 */
export async function readScale(
  book: NumberBook,
  codes: Tensor,
  scaleName: string,
  pointName: string,
  axis: number,
  block: number,
): Promise<CodeScale | undefined> {
  const scales = book.constant(scaleName);
  const points = pointName === '' ? null : book.constant(pointName);
  if (scales === undefined || !isFloatType(scales.type) || points === undefined) return undefined;
  const count = elementCount(scales.dims);
  if (!fits(codes.dims, scales.dims, axis, block)) return undefined;
  if (points !== null && (points.type !== codes.type || elementCount(points.dims) !== count)) return undefined;
  return new CodeScale(
    codes.dims,
    axis,
    block,
    decodeFloats(scales.type, await book.bytes(scales)),
    points === null ? null : await readCodes(book.reader, points, 0, count),
  );
}

/** One scale, one for each index of the axis, or one for each block along it. */
function fits(codes: readonly number[], scales: readonly number[], axis: number, block: number): boolean {
  if (elementCount(scales) === 1 && block === 0) return true;
  const length = codes[axis];
  if (length === undefined) return false;
  if (block === 0) return scales.length === 1 && scales[0] === length;
  const expected = codes.map((dim, i) => (i === axis ? Math.ceil(dim / block) : dim));
  return expected.join() === scales.join();
}
