/** Bytes of messages, written by hand, because no library would write what an attacker sends. */

/** Largest message that the server takes, in bytes. */
export const largestMessage = 4 * 1024 * 1024;

const lengthDelimited = 2;

/** A number as protobuf writes it. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A field that holds a number. */
export function numberField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

/** A field that holds a text, bytes or a message. */
export function field(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(number * 8 + lengthDelimited), varint(bytes.length), bytes]);
}

/** The same bytes, as often as fit into `maxBytes`, but at most `count` times. */
export function repeated(bytes: Buffer, count = Number.POSITIVE_INFINITY, maxBytes = largestMessage - 64): Buffer {
  return Buffer.alloc(bytes.length * Math.min(count, Math.floor(maxBytes / bytes.length)), bytes);
}

/** The bytes that `make` returns for 0, 1, 2 ..., as many as fit into a message, but at most `count`. */
export function series(count: number, make: (index: number) => Buffer): Buffer {
  const all: Buffer[] = [];
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const next = make(i);
    bytes += next.length;
    if (bytes > largestMessage - 64) break;
    all.push(next);
  }
  return Buffer.concat(all);
}

/** A message as gRPC frames it. @param compressed whether its first byte says that it is compressed */
export function framed(message: Buffer, compressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
