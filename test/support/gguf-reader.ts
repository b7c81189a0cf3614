/** Reads a GGUF file by its specification. It shares no code with the writer that it checks. */

export interface GgufFile {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensorRead>;
}

export interface GgufTensorRead {
  /** Dimensions, the slowest first. */
  readonly dims: readonly number[];
  /** Offset from the start of the tensors' bytes. */
  readonly offset: number;
  readonly values: Float32Array;
}

export function readGguf(bytes: Buffer): GgufFile {
  let at = 0;
  const take = (count: number): Buffer => {
    at += count;
    return bytes.subarray(at - count, at);
  };
  const u32 = (): number => take(4).readUInt32LE();
  const u64 = (): number => Number(take(8).readBigUInt64LE());
  const text = (): string => take(u64()).toString('utf8');
  const value = (type: number): unknown => {
    switch (type) {
      case 4:
        return u32();
      case 5:
        return take(4).readInt32LE();
      case 6:
        return take(4).readFloatLE();
      case 7:
        return take(1)[0] === 1;
      case 8:
        return text();
      case 9: {
        const item = u32();
        return Array.from({ length: u64() }, () => value(item));
      }
      default:
        throw new Error(`unknown value type ${type}`);
    }
  };
  if (take(4).toString() !== 'GGUF' || u32() !== 3) throw new Error('not GGUF version 3');
  const [tensorCount, metadataCount] = [u64(), u64()];
  const metadata = new Map(Array.from({ length: metadataCount }, () => [text(), value(u32())] as const));
  const infos = Array.from({ length: tensorCount }, () => {
    const name = text();
    const dims = Array.from({ length: u32() }, u64).reverse();
    return { name, dims, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = new Map(
    infos.map(({ name, dims, type, offset }) => {
      const count = dims.reduce((product, dim) => product * dim, 1);
      const length = type === 0 ? 4 * count : (34 * count) / 32;
      const data = bytes.subarray(start + offset, start + offset + length);
      if (data.length !== length) throw new Error(`${name} is cut short`);
      const values = type === 0 ? new Float32Array(new Uint8Array(data).buffer) : dequantizeQ8(data);
      return [name, { dims, offset, values }] as const;
    }),
  );
  return { metadata, tensors };
}

/** Decodes blocks of a float16 scale and 32 signed bytes. */
export function dequantizeQ8(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: (bytes.byteLength / 34) * 32 }, (_, i) => {
    const block = 34 * Math.floor(i / 32);
    return fromFloat16(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  });
}

/** Returns the value of a float16, which must be finite and at least 0. */
export function fromFloat16(bits: number): number {
  const [exponent, mantissa] = [bits >> 10, bits & 0x3ff];
  return exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
