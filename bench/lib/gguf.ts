/**
 * Writes GGUF files, version 3, the format of llama.cpp.
 *
 * A file is a header, typed metadata, a table of tensors and their bytes, little-endian. Dimensions are listed fastest
 * first: a matrix [rows, columns] is listed as columns, rows. Tensors are written one after another, so that a model
 * larger than memory can be converted.
 */

import { type FileHandle, open } from 'node:fs/promises';

/** A metadata value with its type. llama.cpp refuses a key whose type it does not expect. */
export type GgufValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly i32s: readonly number[] };

export type GgufTensorType = 'f32' | 'q8_0';

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Dimensions, the slowest first, unlike in the file. */
  readonly dims: readonly number[];
  /** Returns the values in row-major order. Called once, just before the tensor is written. */
  readonly read: () => Promise<Float32Array>;
}

const alignment = 32;
const valueTypes = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const tensorTypes = { f32: 0, q8_0: 8 } as const;
/** Number of values in a q8_0 block. The block is a float16 scale and one signed byte per value. */
const blockSize = 32;
const blockBytes = 2 + blockSize;

/** Writes a file. @throws Error if a tensor's values do not fit its shape, or rows of a q8_0 tensor its blocks */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): Promise<void> {
  for (const { name, type, dims } of tensors) {
    const row = dims[dims.length - 1] as number;
    if (type === 'q8_0' && row % blockSize !== 0) {
      throw new Error(`${name}: rows of ${row} values do not divide into q8_0 blocks of ${blockSize}`);
    }
  }
  const file = await open(path, 'w');
  try {
    await writePadded(file, encodeHeader(metadata, tensors));
    for (const tensor of tensors) {
      const values = await tensor.read();
      const expected = tensor.dims.reduce((product, dim) => product * dim, 1);
      if (values.length !== expected) {
        throw new Error(`${tensor.name}: [${tensor.dims}] needs ${expected} values, got ${values.length}`);
      }
      const bytes =
        tensor.type === 'f32'
          ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
          : quantizeQ8(values);
      await writePadded(file, bytes);
    }
  } finally {
    await file.close();
  }
}

/** Quantises blocks of 32 values: scale = largest magnitude / 127 as float16, then round(value / scale). */
export function quantizeQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / blockSize;
  const bytes = new Uint8Array(blocks * blockBytes);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * blockSize;
    let largest = 0;
    for (let i = from; i < from + blockSize; i++) largest = Math.max(largest, Math.abs(values[i] as number));
    const scale = largest / 127;
    const inverse = scale === 0 ? 0 : 1 / scale;
    view.setUint16(block * blockBytes, toFloat16(scale), true);
    for (let i = 0; i < blockSize; i++) {
      view.setInt8(block * blockBytes + 2 + i, Math.round((values[from + i] as number) * inverse));
    }
  }
  return bytes;
}

const float32 = new Float32Array(1);
const float32Bits = new Uint32Array(float32.buffer);

/** Returns the bits of the nearest float16; ties go to even. The value must be finite and at least 0, as scales are. */
export function toFloat16(value: number): number {
  // Below the smallest normal float16, values are multiples of 2^-24.
  if (value < 2 ** -14) return roundToEven(value * 2 ** 24);
  float32[0] = value;
  const bits = float32Bits[0] as number;
  // The bias of the exponent changes from 127 to 15. Rounding removes 13 bits of the mantissa; it may carry into the exponent.
  return roundToEven((bits - ((127 - 15) << 23)) / 2 ** 13);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

async function writePadded(file: FileHandle, bytes: Uint8Array): Promise<void> {
  await file.write(bytes);
  const rest = bytes.byteLength % alignment;
  if (rest > 0) await file.write(new Uint8Array(alignment - rest));
}

function tensorBytes({ type, dims }: GgufTensor): number {
  const count = dims.reduce((product, dim) => product * dim, 1);
  return type === 'f32' ? 4 * count : (count / blockSize) * blockBytes;
}

function encodeHeader(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const parts: Uint8Array[] = [new TextEncoder().encode('GGUF'), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(string(key), ...encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(string(tensor.name), u32(tensor.dims.length));
    for (const dim of [...tensor.dims].reverse()) parts.push(u64(dim));
    parts.push(u32(tensorTypes[tensor.type]), u64(offset));
    offset += Math.ceil(tensorBytes(tensor) / alignment) * alignment;
  }
  return Buffer.concat(parts);
}

function encodeValue(value: GgufValue): Uint8Array[] {
  if ('u32' in value) return [u32(valueTypes.u32), u32(value.u32)];
  if ('f32' in value) return [u32(valueTypes.f32), new Uint8Array(Float32Array.of(value.f32).buffer)];
  if ('bool' in value) return [u32(valueTypes.bool), Uint8Array.of(value.bool ? 1 : 0)];
  if ('string' in value) return [u32(valueTypes.string), string(value.string)];
  const [type, items] =
    'strings' in value
      ? ([valueTypes.string, value.strings.map(string)] as const)
      : ([valueTypes.i32, [new Uint8Array(Int32Array.from(value.i32s).buffer)]] as const);
  const count = 'strings' in value ? value.strings.length : value.i32s.length;
  return [u32(valueTypes.array), u32(type), u64(count), ...items];
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

function string(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Buffer.concat([u64(bytes.byteLength), bytes]);
}
