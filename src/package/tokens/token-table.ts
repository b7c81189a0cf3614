/** The bytes of each token, from the vocabulary and the form of its tokens. */

import { isByteLevel, packTokenBytes } from '../token-decoder.js';
import type { TokenBytes } from '../types.js';
import type { AddedToken } from './added-tokens.js';
import type { TokenForm } from './decoder-steps.js';
import { downloadAgain, unusable } from './refusal.js';
import type { Vocabulary } from './vocabulary.js';

const utf8 = new TextEncoder();

/**
 * Special tokens have no bytes.
 * @throws HoneError `PACKAGE_INVALID` if two tokens have one id, or a token of a byte-level vocabulary is not one
 */
export function makeTokenTable(
  vocabulary: Pick<Vocabulary, 'size' | 'id' | 'text'>,
  addedTokens: readonly AddedToken[],
  form: TokenForm,
): TokenBytes {
  const tokens: (string | Uint8Array | undefined)[] = [];
  const added = new Set(addedTokens.map(({ id }) => id));
  for (let place = 0; place < vocabulary.size; place++) {
    const id = vocabulary.id(place);
    if (added.has(id)) continue;
    const token = vocabulary.text(place);
    const bytes = form.byteLevel ? checkByteLevel(token, id) : bytesOfPiece(token, form);
    if (tokens[id] !== undefined) throw unusable(`two tokens have the id ${id}`, downloadAgain);
    tokens[id] = bytes;
  }
  for (const { id, content, special } of addedTokens) {
    if (special) tokens[id] = undefined;
    else tokens[id] = form.byteLevel ? utf8.encode(content) : bytesOfPiece(content, form);
  }
  return packTokenBytes(tokens);
}

function checkByteLevel(token: string, id: number): string {
  if (isByteLevel(token)) return token;
  throw unusable(`token ${id} (${JSON.stringify(token)}) is not byte-level, but the decoder in tokenizer.json is`);
}

function bytesOfPiece(token: string, { replaced, byteFallback }: TokenForm): Uint8Array {
  const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return utf8.encode(replaced.reduce((text, [from, to]) => text.replaceAll(from, () => to), token));
}
