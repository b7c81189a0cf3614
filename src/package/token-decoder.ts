/** Tokens back to text. Each token of a byte-level vocabulary is a string of bytes; text is what UTF-8 makes of them. */

import type { TokenDecoder } from './types.js';

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

/** Bytes per token id; `undefined` (special tokens, holes in the vocabulary) adds no text. */
export type TokenBytes = readonly (Uint8Array | undefined)[];

/** The text of tokens as a whole; bytes that are not UTF-8 become U+FFFD. */
export function decodeTokens(bytes: TokenBytes, tokens: readonly number[]): string {
  const decoder = new ByteLevelDecoder(bytes);
  let text = '';
  for (const token of tokens) text += decoder.push(token);
  return text + decoder.flush();
}

/** Incremental decoding: text leaves as soon as its last byte is there. */
export class ByteLevelDecoder implements TokenDecoder {
  readonly #bytes: TokenBytes;
  // A byte order mark is text like any other: dropping it would make the pieces differ from the whole.
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(bytes: TokenBytes) {
    this.#bytes = bytes;
  }

  push(token: number): string {
    const bytes = this.#bytes[token];
    return bytes === undefined ? '' : this.#utf8.decode(bytes, { stream: true });
  }

  flush(): string {
    return this.#utf8.decode();
  }
}
