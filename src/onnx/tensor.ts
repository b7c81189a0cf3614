/** Constant tensors of a graph: their element types, and their bytes in the model file or beside it. */

import { HoneError } from '../errors.js';

/**
 * ONNX element types that a decoder's file may use, with `TensorProto.DataType` numbers and bytes per element. Two values
 * of 4 bits share a byte, the first in the low half.
 */
export const elementTypes = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
  float64: { code: 11, bytes: 8 },
  bfloat16: { code: 16, bytes: 2 },
  uint4: { code: 21, bytes: 0.5 },
  int4: { code: 22, bytes: 0.5 },
} as const;

export type ElementType = keyof typeof elementTypes;

export function elementTypeOf(code: number, where: string): ElementType {
  for (const [name, { code: known }] of Object.entries(elementTypes)) {
    if (known === code) return name as ElementType;
  }
  const type = code >= 17 && code <= 20 ? 'float8' : `ONNX element type ${code}`;
  throw new HoneError('MODEL_INVALID', `${where} is in ${type}, which Hone does not read`);
}

/** Bytes in a file beside the model (ONNX external data). */
interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** A constant: little-endian bytes in row-major order, in memory or in an external file. */
export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: Uint8Array | ExternalData;
}

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Bytes of a tensor. */
export function byteCount(type: ElementType, dims: readonly number[]): number {
  return Math.ceil(elementCount(dims) * elementTypes[type].bytes);
}

export function float32Tensor(data: Float32Array, dims: readonly number[]): Tensor {
  return { type: 'float32', dims, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

export function int64Tensor(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { type: 'int64', dims, data: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer) };
}

export function isExternal(data: Tensor['data']): data is ExternalData {
  return !(data instanceof Uint8Array);
}

function inlineBytes(tensor: Tensor, type: ElementType): ArrayBuffer {
  if (tensor.type !== type || isExternal(tensor.data)) {
    throw new HoneError('MODEL_INVALID', `expected ${type} values inside the model, found ${tensor.type}`);
  }
  // Copy: bytes from a file need not be aligned, and slice() of a Buffer would not copy.
  return new Uint8Array(tensor.data).buffer;
}

/** The values of an inline float32 tensor (a copy). */
export function float32Values(tensor: Tensor): Float32Array {
  return new Float32Array(inlineBytes(tensor, 'float32'));
}

/** The values of an inline int64 tensor (a copy); shapes and axes fit a double. */
export function int64Values(tensor: Tensor): number[] {
  return Array.from(new BigInt64Array(inlineBytes(tensor, 'int64')), Number);
}
