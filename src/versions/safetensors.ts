/**
 * Writes and reads the safetensors format for float tensors: an 8-byte little-endian header length, a JSON header, the
 * data. It writes float32. It also reads float16 and bfloat16, whose values all fit float32.
 * Reading checks every length and offset against the file before it uses them.
 */

import { HoneError } from '../errors.js';

export interface SafeTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export interface SafeTensorsFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const readers = { F32: readFloat32, F16: readFloat16, BF16: readBfloat16 } as const;
type DType = keyof typeof readers;
const bytesOf: Readonly<Record<DType, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Much more than an adapter of thousands of layers needs. */
const maxHeaderBytes = 16 * 1024 * 1024;

/** Returns the bytes of a file, with the tensors in the order of the map and the data aligned to eight bytes. */
export function encodeSafeTensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { dims, data }] of tensors) {
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + headerBytes + offset, 0x20);
  bytes.writeBigUInt64LE(BigInt(headerBytes), 0);
  json.copy(bytes, 8);
  let position = 8 + headerBytes;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

/**
 * Reads the tensors of a file as float32 copies.
 * @throws HoneError `ADAPTER_INVALID` for anything but a complete file of float tensors without gaps
 */
export function decodeSafeTensors(file: Uint8Array): SafeTensorsFile {
  const view = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (view.length < 8) throw invalid(`the file has ${view.length} bytes`);
  const headerBytes = view.readBigUInt64LE(0);
  if (headerBytes > BigInt(Math.min(maxHeaderBytes, view.length - 8))) {
    throw invalid(`a header of ${headerBytes} bytes does not fit a file of ${view.length}`);
  }
  const dataStart = 8 + Number(headerBytes);
  const header = parseHeader(view.toString('utf8', 8, dataStart));
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = new Map<string, SafeTensor>();
  let expected = 0;
  const spans = Object.entries(entries).map(([name, entry]) => ({ name, ...checkEntry(name, entry) }));
  for (const { name, dtype, dims, begin, end } of spans.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== expected) throw invalid(`tensor ${name} begins at ${begin} instead of ${expected}`);
    if (dataStart + end > view.length) throw invalid(`tensor ${name} ends beyond the file`);
    // A copy is needed because offsets in the file need not be aligned.
    const bytes = Uint8Array.prototype.slice.call(view, dataStart + begin, dataStart + end);
    tensors.set(name, { dims, data: readers[dtype](bytes) });
    expected = end;
  }
  if (dataStart + expected !== view.length) {
    throw invalid(`the file has ${view.length} bytes, its header describes ${dataStart + expected}`);
  }
  return { tensors, metadata: checkMetadata(metadata) };
}

function parseHeader(text: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new HoneError('ADAPTER_INVALID', 'this is not a safetensors file: its header is not JSON', { cause });
  }
  if (!isRecord(header)) throw invalid('the header is not an object');
  return header;
}

function checkEntry(name: string, entry: unknown) {
  if (!isRecord(entry)) throw invalid(`the entry of ${name} is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDType(dtype)) {
    throw invalid(`tensor ${name} is ${String(dtype)}; only ${Object.keys(readers).join(', ')} are supported`);
  }
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) {
    throw invalid(`shape or offsets of tensor ${name} are not lists of counts`);
  }
  const [begin = 0, end = 0] = offsets;
  const size = shape.reduce((product, dim) => product * dim, bytesOf[dtype]);
  if (end - begin !== size) throw invalid(`tensor ${name} of shape [${shape}] has ${end - begin} bytes`);
  return { dtype, dims: shape, begin, end };
}

function checkMetadata(metadata: unknown): Readonly<Record<string, string>> {
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    throw invalid('__metadata__ is not an object of strings');
  }
  return metadata as Record<string, string>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(readers, value);
}

function readFloat32(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer);
}

/** A bfloat16 is the upper half of a float32. */
function readBfloat16(bytes: Uint8Array): Float32Array {
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (half) => half << 16).buffer);
}

function readFloat16(bytes: Uint8Array): Float32Array {
  return Float32Array.from(new Uint16Array(bytes.buffer), (half) => {
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    const sign = half & 0x8000 ? -1 : 1;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function invalid(reason: string): HoneError {
  return new HoneError('ADAPTER_INVALID', `this is not a safetensors file of float tensors: ${reason}`);
}
