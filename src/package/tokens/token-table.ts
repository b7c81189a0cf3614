/** The bytes of each token, from the vocabulary and the form of its tokens. */

import type { TokenBytes } from '../types.js';
import type { AddedToken } from './added-tokens.js';
import { byteOfCode } from './byte-alphabet.js';
import type { TokenForm } from './decoder-steps.js';
import { downloadAgain, unusable } from './refusal.js';
import type { Vocabulary } from './vocabulary.js';

/** A {@link TokenForm} whose only replaced text is at hand in UTF-8. */
interface Form {
  readonly byteLevel: boolean;
  readonly byteFallback: boolean;
  readonly replacedTexts: TokenForm['replaced'];
  readonly onlyReplaced: { readonly from: Uint8Array; readonly to: Uint8Array } | null;
}

/** The part of a vocabulary that is needed. */
type Tokens = Pick<Vocabulary, 'size' | 'id' | 'start' | 'end' | 'bytes' | 'text'>;

/**
 * Special tokens and unused ids have no bytes.
 * @throws HoneError `PACKAGE_INVALID` if two tokens have one id, or a token of a byte-level vocabulary is not one
 */
export function makeTokenTable(
  vocabulary: Tokens,
  addedTokens: readonly AddedToken[],
  tokenForm: TokenForm,
): TokenBytes {
  const form = preparedForm(tokenForm);
  const added = new Map(addedTokens.map(({ id, content, special }) => [id, special ? '' : content]));
  const places = placesById(vocabulary, added);
  const contents = [...added.values()].reduce((sum, content) => sum + sizeOf(content), 0);
  const growth = form.replacedTexts.reduce((all, [from, to]) => all * Math.max(1, sizeOf(to) / sizeOf(from)), 1);
  const bytes = new Uint8Array(Math.ceil((vocabulary.bytes.length + contents) * growth));
  const ends = new Uint32Array(places.length);
  let end = 0;
  for (const [id, place] of places.entries()) {
    const content = added.get(id);
    if (content !== undefined)
      end = write(bytes, end, form.byteLevel ? Buffer.from(content) : pieceBytes(content, form));
    else if (place >= 0 && form.byteLevel) end = writeByteLevel(bytes, end, vocabulary, place);
    else if (place >= 0) end = writePiece(bytes, end, vocabulary, place, form);
    ends[id] = end;
  }
  return { bytes: bytes.slice(0, end), ends };
}

function sizeOf(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

function preparedForm({ byteLevel, byteFallback, replaced }: TokenForm): Form {
  const [first] = replaced;
  const onlyReplaced =
    first === undefined || replaced.length > 1 ? null : { from: Buffer.from(first[0]), to: Buffer.from(first[1]) };
  return { byteLevel, byteFallback, replacedTexts: replaced, onlyReplaced };
}

/** Returns by id the place of its token in the vocabulary, or -1. */
function placesById(vocabulary: Tokens, added: ReadonlyMap<number, string>): Int32Array {
  let largest = -1;
  for (let place = 0; place < vocabulary.size; place++) largest = Math.max(largest, vocabulary.id(place));
  for (const id of added.keys()) largest = Math.max(largest, id);
  const places = new Int32Array(largest + 1).fill(-1);
  for (let place = 0; place < vocabulary.size; place++) {
    const id = vocabulary.id(place);
    if (added.has(id)) continue;
    if (places[id] !== -1) throw unusable(`two tokens have the id ${id}`, downloadAgain);
    places[id] = place;
  }
  return places;
}

function write(into: Uint8Array, at: number, bytes: Uint8Array): number {
  into.set(bytes, at);
  return at + bytes.length;
}

/** Writes the bytes that a token of characters of the alphabet stands for: each has one byte in UTF-8, or two. */
function writeByteLevel(into: Uint8Array, at: number, vocabulary: Tokens, place: number): number {
  const { bytes } = vocabulary;
  const last = vocabulary.end(place);
  let end = at;
  for (let i = vocabulary.start(place); i < last; ) {
    const first = bytes[i++] as number;
    // Of a longer character this makes a number beyond the alphabet.
    const code = first < 0x80 ? first : ((first & 0x3f) << 6) | ((bytes[i++] as number) & 0x3f);
    const byte = byteOfCode[code];
    if (byte === undefined) throw notByteLevel(vocabulary, place);
    into[end++] = byte;
  }
  return end;
}

function notByteLevel(vocabulary: Tokens, place: number) {
  const token = JSON.stringify(vocabulary.text(place));
  return unusable(`token ${vocabulary.id(place)} (${token}) is not byte-level, but the decoder in tokenizer.json is`);
}

/** Writes a piece, of which only those that are bytes or hold several replaced texts are made into a string. */
function writePiece(into: Uint8Array, at: number, vocabulary: Tokens, place: number, form: Form): number {
  const { bytes } = vocabulary;
  const [start, last] = [vocabulary.start(place), vocabulary.end(place)];
  const { onlyReplaced } = form;
  const isByte = last - start === 6 && bytes[start] === 0x3c;
  if (isByte || onlyReplaced === null) {
    return write(into, at, pieceBytes(vocabulary.text(place), form));
  }
  const { from, to } = onlyReplaced;
  let end = at;
  for (let i = start; i < last; ) {
    if (isAt(bytes, i, last, from)) {
      end = write(into, end, to);
      i += from.length;
    } else into[end++] = bytes[i++] as number;
  }
  return end;
}

function isAt(bytes: Uint8Array, at: number, last: number, searched: Uint8Array): boolean {
  for (let i = 0; i < searched.length; i++) if (at + i >= last || bytes[at + i] !== searched[i]) return false;
  return true;
}

function pieceBytes(token: string, { replacedTexts, byteFallback }: Form): Uint8Array {
  const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return Buffer.from(replacedTexts.reduce((text, [from, to]) => text.replaceAll(from, () => to), token));
}
