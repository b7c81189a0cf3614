/**
 * Turns tokens back into text: each token is a string of bytes, and the text is their UTF-8.
 *
 * What follows other text, as a completion follows its prompt, keeps all of it. The beginning of a whole text loses the
 * spaces that the tokenizer put there.
 */

import type { DroppedSpaces } from './tokens/decoder-steps.js';
import type { TokenBytes, TokenDecoder } from './types.js';

/**
 * Returns the text of tokens. Bytes that are not UTF-8 become U+FFFD.
 * @param dropped spaces that the text begins with; default: none, as of tokens that follow others
 */
export function decodeTokens(table: TokenBytes, tokens: readonly number[], dropped: DroppedSpaces = 0): string {
  const decoder = new ByteDecoder(table, dropped);
  let text = '';
  for (const token of tokens) text += decoder.push(token);
  return text + decoder.flush();
}

const space = 0x20;

/** Decodes one token at a time. A character is returned with the token that holds its last byte. */
export class ByteDecoder implements TokenDecoder {
  readonly #table: TokenBytes;
  // A byte order mark is kept as text. Dropping it would make the pieces differ from the whole.
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  #dropped: DroppedSpaces;

  /** @param dropped as {@link decodeTokens} takes it */
  constructor(table: TokenBytes, dropped: DroppedSpaces = 0) {
    this.#table = table;
    this.#dropped = dropped;
  }

  push(token: number): string {
    const { bytes, ends } = this.#table;
    const end = ends[token];
    const start = token === 0 ? 0 : ends[token - 1];
    if (end === undefined || end === start) return '';
    const all = bytes.subarray(start, end);
    return this.#utf8.decode(this.#dropped === 0 ? all : this.#atStart(all), { stream: true });
  }

  flush(): string {
    return this.#utf8.decode();
  }

  /** Returns the bytes of a token without those that the beginning loses. */
  #atStart(bytes: Uint8Array): Uint8Array {
    if (this.#dropped === 'first-token') {
      this.#dropped = 0;
      return bytes.filter((byte) => byte !== space);
    }
    let at = 0;
    while (at < this.#dropped && bytes[at] === space) at += 1;
    // Only where the token was nothing but spaces may the next one have more of them.
    this.#dropped = at === bytes.length ? this.#dropped - at : 0;
    return bytes.subarray(at);
  }
}
