/** Tokens back to text. Each token of a byte-level vocabulary is a string of bytes; text is what UTF-8 makes of them. */

import type { TokenBytes, TokenDecoder } from './types.js';

/** GPT-2's stand-ins: printable bytes stand for themselves, the others for the characters from U+0100 on. */
export const byteAlphabet: readonly string[] = makeByteAlphabet();

/** By code of a character of the alphabet: the byte that it stands for. */
const byteOfCode: readonly (number | undefined)[] = makeTable();

function makeByteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
}

function makeTable(): (number | undefined)[] {
  const table = new Array<number | undefined>(512).fill(undefined);
  for (const [byte, character] of byteAlphabet.entries()) table[character.charCodeAt(0)] = byte;
  return table;
}

/** Whether a token is a string of bytes: each of its characters is one of the alphabet. */
export function isByteLevel(token: string): boolean {
  for (let i = 0; i < token.length; i++) if (byteOfCode[token.charCodeAt(i)] === undefined) return false;
  return true;
}

/**
 * @param tokens by id: a token of a byte-level vocabulary, or bytes; `undefined` (special tokens, holes in the vocabulary)
 * adds no text
 */
export function packTokenBytes(tokens: readonly (string | Uint8Array | undefined)[]): TokenBytes {
  const ends = new Uint32Array(tokens.length);
  let length = 0;
  for (let id = 0; id < tokens.length; id++) {
    length += tokens[id]?.length ?? 0;
    ends[id] = length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let id = 0; id < tokens.length; id++) {
    const token = tokens[id];
    if (typeof token === 'string') {
      for (let i = 0; i < token.length; i++) bytes[at++] = byteOfCode[token.charCodeAt(i)] as number;
    } else if (token !== undefined) {
      bytes.set(token, at);
      at += token.length;
    }
  }
  return { bytes, ends };
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
