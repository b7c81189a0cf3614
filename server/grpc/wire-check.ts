/**
 * Checks the bytes of a request before they are decoded, in one pass without copies.
 *
 * A decoder makes objects for whatever the bytes hold, cuts off a text that is longer than the message, and puts U+FFFD
 * in the place of bytes that are not UTF-8. Here lists are counted, texts are checked, and what no writer of this
 * contract sends is refused: a field that holds one value and occurs twice, a field of another type, groups.
 */

import { isUtf8 } from 'node:buffer';
import { maxUnknownFields } from './request-bounds.js';
import { type FieldShape, type MessageShape, wireType } from './wire-shape.js';

/** Why bytes are refused. */
export interface WireFault {
  /** The field at fault, as `items[3].edit.text`; empty if the bytes are no message of the type. */
  readonly field: string;
  readonly description: string;
}

/** The first fault of the bytes; `undefined` if they may be decoded. */
export function findWireFault(bytes: Uint8Array, shape: MessageShape): WireFault | undefined {
  try {
    new WireReader(bytes).checkMessage(shape, bytes.length);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Refusal) return { field: thrown.field, description: thrown.description };
    throw thrown;
  }
}

/** Thrown within this file. Each message around the field adds its own name on the way out. */
class Refusal {
  field: string;
  readonly description: string;

  constructor(field: string, description: string) {
    this.field = field;
    this.description = description;
  }
}

const notAMessage = () => new Refusal('', '');

class WireReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** @param end where the message ends */
  checkMessage({ fields }: MessageShape, end: number): void {
    // One bit for each field that has occurred.
    let seen = 0;
    let unknown = 0;
    /** Entries of lists, by field number. */
    let counts: number[] | undefined;
    while (this.#position < end) {
      const tag = this.#readUint32(end);
      const number = tag >>> 3;
      const field = fields[number];
      if (field === undefined) {
        unknown += 1;
        if (number === 0 || unknown > maxUnknownFields) throw notAMessage();
        this.#skip(tag & 7, end);
        continue;
      }
      if (field.limit === 1) {
        const bit = 1 << number;
        if ((seen & bit) !== 0) throw new Refusal(field.name, 'occurs more than once: send it once');
        seen |= bit;
        if ((tag & 7) !== field.wireType) throw notAMessage();
        this.#checkValue(field, end, '');
        continue;
      }
      counts ??= [];
      const count = counts[number] ?? 0;
      const added = this.#checkEntries(field, tag & 7, end, count);
      counts[number] = count + added;
      if (count + added > field.limit) {
        throw new Refusal(field.name, `holds more than ${field.limit} entries: send at most ${field.limit}`);
      }
    }
    if (this.#position !== end) throw notAMessage();
  }

  /** Checks one occurrence of a list or a map. @returns how many entries it holds */
  #checkEntries(field: FieldShape, type: number, end: number, index: number): number {
    if (type === field.wireType) {
      // What is over the limit is not read any more.
      if (index < field.limit) this.#checkValue(field, end, field.isMap ? '' : `[${index}]`);
      return 1;
    }
    if (!field.isPackable || type !== wireType.lengthDelimited) throw notAMessage();
    const length = this.#readUint32(end);
    const packedEnd = this.#position + length;
    if (packedEnd > end) throw notAMessage();
    let entries = 0;
    while (this.#position < packedEnd && index + entries <= field.limit) {
      this.#skipNumber(field, packedEnd);
      entries += 1;
    }
    return entries;
  }

  #checkValue(field: FieldShape, end: number, index: string): void {
    if (field.wireType !== wireType.lengthDelimited) {
      this.#skipNumber(field, end);
      return;
    }
    const length = this.#readUint32(end);
    const valueEnd = this.#position + length;
    if (valueEnd > end) throw notAMessage();
    if (field.message !== undefined) {
      try {
        this.checkMessage(field.message, valueEnd);
      } catch (thrown) {
        // A caller may name the entries of a map as it likes, so a fault in one is a fault of the map.
        if (thrown instanceof Refusal && thrown.description !== '') {
          thrown.field = field.isMap ? field.name : `${field.name}${index}.${thrown.field}`;
        }
        throw thrown;
      }
      return;
    }
    if (field.isText && !this.#isText(valueEnd)) {
      throw new Refusal(`${field.name}${index}`, 'is not valid UTF-8: send text in UTF-8');
    }
    this.#position = valueEnd;
  }

  #isText(end: number): boolean {
    const bytes = this.#bytes;
    for (let position = this.#position; position < end; position++) {
      // Most texts are short and ASCII, and need no call.
      if ((bytes[position] as number) >= 0x80 || position - this.#position > 64) {
        return isUtf8(bytes.subarray(position, end));
      }
    }
    return true;
  }

  #skipNumber(field: FieldShape, end: number): void {
    const start = this.#position;
    this.#skip(field.wireType, end);
    const length = this.#position - start;
    // A negative number of 32 bits takes ten bytes. The decoder takes every other length above five for ten, too.
    if (field.isShort && field.wireType === wireType.varint && length > 5 && length < 10) throw notAMessage();
  }

  #skip(type: number, end: number): void {
    if (type === wireType.varint) this.#skipVarint(end);
    else if (type === wireType.fixed64) this.#position += 8;
    else if (type === wireType.fixed32) this.#position += 4;
    else if (type === wireType.lengthDelimited) {
      const length = this.#readUint32(end);
      this.#position += length;
    } else throw notAMessage();
    if (this.#position > end) throw notAMessage();
  }

  #skipVarint(end: number): void {
    for (let length = 1; length <= 10; length++) {
      if (this.#position >= end) throw notAMessage();
      if ((this.#bytes[this.#position++] as number) < 0x80) return;
    }
    throw notAMessage();
  }

  /** A tag or a length. */
  #readUint32(end: number): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#position >= end) throw notAMessage();
      const byte = this.#bytes[this.#position++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) throw notAMessage();
        return value;
      }
    }
    throw notAMessage();
  }
}
