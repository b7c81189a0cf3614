/** Byte-pair encoding: cuts a word into characters and joins them by the merges of the model. */

import { z } from 'zod';
import type { TokenBytes } from '../types.js';
import { applyMerges, MergeTable } from './merges.js';
import type { Vocabulary } from './vocabulary.js';
import { WordIndex } from './word-index.js';
import type { WordModel } from './word-model.js';

/** A byte-pair encoding in plain numbers. */
export interface BpeModel {
  /** Code points that are tokens by themselves, and these tokens. */
  readonly characters: Uint32Array;
  readonly characterTokens: Uint32Array;
  /** As {@link MergeTable} takes them. */
  readonly merges: Uint32Array;
  /** By byte: the token that stands for a byte of a character that is no token, or -1; empty if there are none. */
  readonly byteTokens: Int32Array;
  /** Stands for characters that cannot be expressed. Without it they are left out. */
  readonly unknown: number | null;
  /** Whether a row of unknown characters is one token. */
  readonly fuseUnknown: boolean;
  /** Whether a word that is a token is taken as it is. */
  readonly wholeWords: boolean;
}

const none = z.literal(['', null]).optional();

/** The fields of a model beside its vocabulary and its merges. */
export const bpeSchema = z.looseObject({
  type: z.literal('BPE'),
  unk_token: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
  // They would change what a token stands for.
  continuing_subword_prefix: none,
  end_of_word_suffix: none,
  dropout: z.literal([0, null]).optional(),
});

/** What {@link compileBpe} makes a model of. */
interface BpeSource {
  readonly settings: z.output<typeof bpeSchema>;
  readonly vocabulary: Vocabulary;
  /** As they are read from the file. */
  readonly merges: Uint32Array;
  /** Tokens that must not come out of any text. */
  readonly leftOut: ReadonlySet<number>;
}

export function compileBpe({ settings, vocabulary, merges, leftOut }: BpeSource): BpeModel {
  const single = singleCharacters(vocabulary).filter(([, id]) => !leftOut.has(id));
  const { unk_token: unknown } = settings;
  return {
    characters: Uint32Array.from(single, ([code]) => code),
    characterTokens: Uint32Array.from(single, ([, id]) => id),
    merges: withoutResults(merges, leftOut),
    byteTokens: readByteTokens(vocabulary, settings.byte_fallback),
    unknown: typeof unknown === 'string' ? (vocabulary.idOf(unknown) ?? null) : null,
    fuseUnknown: settings.fuse_unk ?? false,
    wholeWords: settings.ignore_merges ?? false,
  };
}

/** Leaves out the merges that make certain tokens. Most vocabularies have none. */
function withoutResults(merges: Uint32Array, leftOut: ReadonlySet<number>): Uint32Array {
  const isKept = (_: number, i: number) => !leftOut.has(merges[i - (i % 3) + 2] as number);
  return merges.every(isKept) ? merges : merges.filter(isKept);
}

/** Returns the tokens of one character, with its code point. */
function singleCharacters(vocabulary: Vocabulary): [code: number, id: number][] {
  const found: [number, number][] = [];
  for (let place = 0; place < vocabulary.size; place++) {
    const start = vocabulary.start(place);
    const length = vocabulary.end(place) - start;
    if (length === 0 || length !== lengthOfCharacter(vocabulary.bytes[start] as number)) continue;
    found.push([vocabulary.text(place).codePointAt(0) as number, vocabulary.id(place)]);
  }
  return found;
}

/** Returns the length in UTF-8 of a character that begins with a byte. */
function lengthOfCharacter(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

/**
 * Returns by byte the token that stands for it, or -1; nothing if characters are not expressed in bytes.
 * @param fallback `model.byte_fallback`
 */
export function readByteTokens(vocabulary: Vocabulary, fallback: boolean | null | undefined): Int32Array {
  if (fallback !== true) return new Int32Array(0);
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return vocabulary.idOf(name) ?? -1;
  });
}

/** Whether each character has tokens: its own, or those of its bytes. */
export function expressesAll({ characters, byteTokens }: BpeModel): boolean {
  if (byteTokens.length === 0) return false;
  const single = new Set(characters);
  // Some vocabularies have the tab as itself, and not as a byte. Bytes from 128 on are no characters.
  return byteTokens.every((token, byte) => token >= 0 || (byte < 128 && single.has(byte)));
}

export class BytePairEncoder implements WordModel {
  readonly #model: BpeModel;
  readonly #characters: ReadonlyMap<number, number>;
  readonly #merges: MergeTable;
  readonly #words: WordIndex | null;

  /** @param table of all tokens, if words are taken as they are */
  constructor(model: BpeModel, table: TokenBytes) {
    this.#model = model;
    const { characters, characterTokens } = model;
    this.#characters = new Map(Array.from(characters, (code, i) => [code, characterTokens[i] as number]));
    this.#merges = new MergeTable(model.merges);
    this.#words = model.wholeWords ? new WordIndex(table) : null;
  }

  encode(word: string): readonly number[] {
    const whole = this.#words?.find(word);
    return whole === undefined ? applyMerges(this.#merges, this.#charactersOf(word)) : [whole];
  }

  #charactersOf(word: string): number[] {
    const { unknown, fuseUnknown } = this.#model;
    const tokens: number[] = [];
    let isUnknown = false;
    for (const character of word) {
      const token = this.#characters.get(character.codePointAt(0) as number);
      const known = token === undefined ? this.#bytesOf(character) : [token];
      const follows = isUnknown && fuseUnknown;
      isUnknown = known === undefined;
      if (known !== undefined) tokens.push(...known);
      else if (unknown !== null && !follows) tokens.push(unknown);
    }
    return tokens;
  }

  /** A character is expressed in bytes as a whole, or not at all. */
  #bytesOf(character: string): number[] | undefined {
    const tokens = Array.from(Buffer.from(character, 'utf8'), (byte) => this.#model.byteTokens[byte] ?? -1);
    return tokens.includes(-1) ? undefined : tokens;
  }
}
