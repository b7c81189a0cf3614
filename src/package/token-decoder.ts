/** Tokens back to text. Each token of a byte-level vocabulary is a string of bytes; text is what UTF-8 makes of them. */

import type { TokenBytes, TokenDecoder } from './types.js';

const byteOfCharacter: ReadonlyMap<string, number> = makeByteAlphabet();

/** GPT-2's stand-ins: printable bytes stand for themselves, the others for the characters from U+0100 on. */
function makeByteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return alphabet;
}

/** The bytes that a token of a byte-level vocabulary stands for, or undefined when it is none. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  let length = 0;
  for (const character of token) {
    const byte = byteOfCharacter.get(character);
    if (byte === undefined) return undefined;
    bytes[length++] = byte;
  }
  return bytes.subarray(0, length);
}

/** @param bytes by token id; `undefined` (special tokens, holes in the vocabulary) adds no text */
export function packTokenBytes(bytes: readonly (Uint8Array | undefined)[]): TokenBytes {
  const ends = new Uint32Array(bytes.length);
  let length = 0;
  for (let id = 0; id < bytes.length; id++) {
    length += bytes[id]?.length ?? 0;
    ends[id] = length;
  }
  const packed = new Uint8Array(length);
  for (let id = 0; id < bytes.length; id++) {
    const value = bytes[id];
    if (value !== undefined) packed.set(value, (ends[id] as number) - value.length);
  }
  return { bytes: packed, ends };
}

/** The text of tokens as a whole; bytes that are not UTF-8 become U+FFFD. */
export function decodeTokens(table: TokenBytes, tokens: readonly number[]): string {
  const decoder = new ByteLevelDecoder(table);
  let text = '';
  for (const token of tokens) text += decoder.push(token);
  return text + decoder.flush();
}

/** Incremental decoding: text leaves as soon as its last byte is there. */
export class ByteLevelDecoder implements TokenDecoder {
  readonly #table: TokenBytes;
  // A byte order mark is text like any other: dropping it would make the pieces differ from the whole.
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(table: TokenBytes) {
    this.#table = table;
  }

  push(token: number): string {
    const { bytes, ends } = this.#table;
    const end = ends[token];
    const start = token === 0 ? 0 : ends[token - 1];
    if (end === undefined || end === start) return '';
    return this.#utf8.decode(bytes.subarray(start, end), { stream: true });
  }

  flush(): string {
    return this.#utf8.decode();
  }
}
