/** Reads the header of one safetensors file and checks it against the file: names, types, shapes, spans. */

import type { FileHandle } from 'node:fs/promises';
import { invalidPackage, isLfsPointer, lfsPointer } from '../../package/index.js';

/** Where a tensor lies in a file of a checkpoint. */
export interface StoredTensor {
  readonly file: string;
  /** The element type by its name in the format, such as `BF16`. */
  readonly type: string;
  readonly dims: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly length: number;
}

/** Bytes of a header. The format itself allows no more. */
const maxHeaderBytes = 100_000_000;

/** Bits per element of all types of the format, so that spans can be checked even of tensors that are not read. */
const bitsOf: Readonly<Record<string, number>> = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
};

/**
 * Returns the tensors of an open file by name.
 * @throws HoneError `PACKAGE_INVALID` that names the file and the tensor at fault
 */
export async function readHeader(
  directory: string,
  file: string,
  handle: FileHandle,
): Promise<Map<string, StoredTensor>> {
  const refuse = (problem: string, cause?: unknown): Error =>
    invalidPackage(directory, file, `${problem}; download the file again`, cause);
  const { size } = await handle.stat();
  const start = Buffer.alloc(64);
  const { bytesRead } = await handle.read(start, 0, 64, 0);
  if (isLfsPointer(start.toString('latin1', 0, bytesRead))) throw invalidPackage(directory, file, lfsPointer);
  const headerBytes = bytesRead < 8 ? -1 : Number(start.readBigUInt64LE(0));
  if (headerBytes < 2 || headerBytes > Math.min(maxHeaderBytes, size - 8)) {
    throw refuse(`is not a safetensors file, or is cut off: it has ${size} bytes, its header ${headerBytes}`);
  }
  const bytes = Buffer.alloc(headerBytes);
  await handle.read(bytes, 0, headerBytes, 8);
  const { __metadata__: _, ...entries } = parse(bytes.toString('utf8'), refuse);
  const tensors = Object.entries(entries).map(([name, entry]) => ({ name, ...span(name, entry, refuse) }));
  let end = 0;
  for (const tensor of tensors.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (tensor.begin < end) throw refuse(`stores tensor ${tensor.name} over another one`);
    if (8 + headerBytes + tensor.end > size) {
      throw refuse(`has ${size} bytes, but tensor ${tensor.name} ends at ${8 + headerBytes + tensor.end}`);
    }
    end = tensor.end;
  }
  return new Map(
    tensors.map(({ name, type, dims, begin, end }) => [
      name,
      { file, type, dims, offset: 8 + headerBytes + begin, length: end - begin },
    ]),
  );
}

function parse(text: string, refuse: (problem: string, cause?: unknown) => Error): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw refuse('is not a safetensors file: its header is not JSON', cause);
  }
  if (isRecord(header)) return header;
  throw refuse('has a header that is not an object');
}

function span(name: string, entry: unknown, refuse: (problem: string) => Error) {
  if (!isRecord(entry)) throw refuse(`has no description of tensor ${name}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const bits = typeof dtype === 'string' ? bitsOf[dtype] : undefined;
  if (bits === undefined) throw refuse(`has tensor ${name} in ${String(dtype)}, which Hone does not know`);
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) {
    throw refuse(`has a shape or a place of tensor ${name} that is not a list of counts`);
  }
  const [begin = 0, end = 0] = offsets;
  const expected = shape.reduce((product, dim) => product * dim, bits / 8);
  if (end - begin !== expected) {
    throw refuse(
      `has ${end - begin} bytes of tensor ${name}, which needs ${expected} as ${dtype} [${shape.join(', ')}]`,
    );
  }
  return { type: dtype as string, dims: shape, begin, end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
