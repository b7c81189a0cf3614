/**
 * Turns tokens back into text. Each token of a byte-level vocabulary is a string of bytes, and the text is their UTF-8.
 */

import type { TokenBytes, TokenDecoder } from './types.js';

/** By byte: the character that GPT-2's vocabularies write for it. Printable bytes are kept; others start at U+0100. */
export const byteAlphabet: readonly string[] = makeByteAlphabet();

/** By code of a character: the byte that it stands for. */
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

/** Whether a token is a string of bytes, which means that all of its characters are in the alphabet. */
export function isByteLevel(token: string): boolean {
  for (let i = 0; i < token.length; i++) if (byteOfCode[token.charCodeAt(i)] === undefined) return false;
  return true;
}

/**
 * Joins the bytes of all tokens.
 * @param tokens by id: a token of a byte-level vocabulary, or bytes. `undefined`, for special tokens and unused ids,
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

/** Returns the text of tokens. Bytes that are not UTF-8 become U+FFFD. */
export function decodeTokens(table: TokenBytes, tokens: readonly number[]): string {
  const decoder = new ByteLevelDecoder(table);
  let text = '';
  for (const token of tokens) text += decoder.push(token);
  return text + decoder.flush();
}

/** Decodes one token at a time. A character is returned with the token that holds its last byte. */
export class ByteLevelDecoder implements TokenDecoder {
  readonly #table: TokenBytes;
  // A byte order mark is kept as text. Dropping it would make the pieces differ from the whole.
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
