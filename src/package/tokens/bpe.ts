/** Byte-pair encoding: cuts a word into characters and joins them by the merges of the model. */

import { z } from 'zod';
import type { TokenBytes } from '../types.js';
import { applyMerges, MergeTable } from './merges.js';
import { downloadAgain, unusable } from './refusal.js';
import { WordIndex } from './word-index.js';

/** Cuts one word of a text into tokens. */
export interface WordModel {
  encode(word: string): readonly number[];
}

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

/** Merges are checked when they are read. */
export const bpeSchema = z.looseObject({
  type: z.literal('BPE'),
  vocab: z.custom<Record<string, number>>(),
  merges: z.array(z.custom<unknown>()),
  unk_token: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
  // They would change what a token stands for.
  continuing_subword_prefix: none,
  end_of_word_suffix: none,
  dropout: z.literal([0, null]).optional(),
});

/**
 * @param isLeftOut whether a token of the vocabulary must not come out of any text
 * @throws HoneError `PACKAGE_INVALID` if a merge is not one of tokens
 */
export function compileBpe(model: z.output<typeof bpeSchema>, isLeftOut: (token: string) => boolean): BpeModel {
  const ids = new Map(Object.entries(model.vocab));
  const single: [number, number][] = [];
  for (const [token, id] of ids) {
    const code = token.codePointAt(0);
    if (code !== undefined && token.length === (code > 0xffff ? 2 : 1) && !isLeftOut(token)) single.push([code, id]);
  }
  const { unk_token: unknown } = model;
  return {
    characters: Uint32Array.from(single, ([code]) => code),
    characterTokens: Uint32Array.from(single, ([, id]) => id),
    merges: compileMerges(model.merges, ids, isLeftOut),
    byteTokens: model.byte_fallback === true ? byteTokens(ids) : new Int32Array(0),
    unknown: typeof unknown === 'string' ? (ids.get(unknown) ?? null) : null,
    fuseUnknown: model.fuse_unk ?? false,
    wholeWords: model.ignore_merges ?? false,
  };
}

function compileMerges(
  merges: readonly unknown[],
  ids: ReadonlyMap<string, number>,
  isLeftOut: (token: string) => boolean,
): Uint32Array {
  const triples = new Uint32Array(merges.length * 3);
  let at = 0;
  for (const [i, merge] of merges.entries()) {
    const [left, right] = pairOf(merge, i);
    const both = left + right;
    const [leftId, rightId, bothId] = [ids.get(left), ids.get(right), ids.get(both)];
    if (leftId === undefined || rightId === undefined || bothId === undefined) {
      throw unusable(`merge ${i} (${JSON.stringify(merge)}) has parts that are no tokens`, downloadAgain);
    }
    if (isLeftOut(both)) continue;
    triples[at] = leftId;
    triples[at + 1] = rightId;
    triples[at + 2] = bothId;
    at += 3;
  }
  return triples.subarray(0, at);
}

/** A merge is written as two texts, or in older files as one text with a space between them. */
function pairOf(merge: unknown, i: number): readonly [string, string] {
  if (typeof merge === 'string') {
    const space = merge.indexOf(' ', 1);
    if (space > 0) return [merge.slice(0, space), merge.slice(space + 1)];
  } else if (Array.isArray(merge) && merge.length === 2) {
    const [left, right] = merge;
    if (typeof left === 'string' && typeof right === 'string') return [left, right];
  }
  throw unusable(`merge ${i} (${JSON.stringify(merge)}) is not two texts`, downloadAgain);
}

function byteTokens(ids: ReadonlyMap<string, number>): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return ids.get(name) ?? -1;
  });
}

/** Whether each character has tokens: its own, or those of its bytes. */
export function expressesAll({ characters, byteTokens }: BpeModel): boolean {
  if (byteTokens.length === 0) return false;
  const single = new Set(characters);
  // Some vocabularies have the tab as itself, and not as a byte. Bytes from 128 on are no characters.
  return byteTokens.every((token, byte) => token >= 0 || (byte < 128 && single.has(byte)));
}

/** Words whose tokens are kept, and the longest of them. Most words of a text occur again. */
const keptWords = 10_000;
const longestKept = 64;

export class BytePairEncoder implements WordModel {
  readonly #model: BpeModel;
  readonly #characters: ReadonlyMap<number, number>;
  readonly #merges: MergeTable;
  readonly #words: WordIndex | null;
  readonly #known = new Map<string, readonly number[]>();

  /** @param table of all tokens, if words are taken as they are */
  constructor(model: BpeModel, table: TokenBytes) {
    this.#model = model;
    const { characters, characterTokens } = model;
    this.#characters = new Map(Array.from(characters, (code, i) => [code, characterTokens[i] as number]));
    this.#merges = new MergeTable(model.merges);
    this.#words = model.wholeWords ? new WordIndex(table) : null;
  }

  encode(word: string): readonly number[] {
    const known = this.#known.get(word);
    if (known !== undefined) return known;
    const whole = this.#words?.find(word);
    const tokens = whole === undefined ? applyMerges(this.#merges, this.#charactersOf(word)) : [whole];
    if (word.length <= longestKept) {
      if (this.#known.size >= keptWords) this.#known.clear();
      this.#known.set(word, tokens);
    }
    return tokens;
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
