/**
 * Finds the added tokens that are written in a text. Those of `tokenizer.json` that are special are not among them: a
 * text never holds one.
 */

import type { Normalizer } from './normalizer.js';
import type { PlacedText } from './text-place.js';

/** A token that `tokenizer.json` lists beside its vocabulary, and how it is found. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly single_word: boolean;
  /** Whether it takes the white space before and behind it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Whether it is looked for in the normalized text. */
  readonly normalized: boolean;
}

/** An added token, or a text between them. */
export type Part = { readonly token: number } | PlacedText;

export class AddedTokens {
  readonly #asWritten: Finder;
  readonly #inNormalized: Finder;
  readonly #normalizer: Normalizer;

  constructor(tokens: readonly AddedToken[], normalizer: Normalizer) {
    this.#asWritten = new Finder(tokens.filter(({ normalized }) => !normalized).map((token) => [token.content, token]));
    this.#inNormalized = new Finder(
      tokens
        .filter(({ normalized }) => normalized)
        .map((token) => [normalizer.normalize(token.content, 'start'), token]),
    );
    this.#normalizer = normalizer;
  }

  /** Returns added tokens and normalized texts, in order. */
  split(text: PlacedText): Part[] {
    return this.#asWritten.split(text).flatMap((part) => {
      if ('token' in part) return part;
      const { place } = part;
      return this.#inNormalized.split({ text: this.#normalizer.normalize(part.text, place), place });
    });
  }
}

const wordCharacter = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

class Finder {
  readonly #byContent: ReadonlyMap<string, AddedToken>;
  /** By first UTF-16 unit of a token: the lengths that such tokens have, the longest first. */
  readonly #lengths = new Map<number, number[]>();

  constructor(tokens: readonly (readonly [written: string, token: AddedToken])[]) {
    this.#byContent = new Map(tokens.filter(([written]) => written !== ''));
    for (const written of this.#byContent.keys()) {
      const first = written.charCodeAt(0);
      const lengths = this.#lengths.get(first) ?? [];
      if (!lengths.includes(written.length)) lengths.push(written.length);
      this.#lengths.set(first, lengths);
    }
    for (const lengths of this.#lengths.values()) lengths.sort((a, b) => b - a);
  }

  split({ text, place }: PlacedText): Part[] {
    const parts: Part[] = [];
    let start = 0;
    const addText = (end: number) => {
      if (end > start) parts.push({ text: text.slice(start, end), place: start === 0 ? place : behind(place) });
    };
    for (let at = 0; this.#lengths.size > 0 && at < text.length; ) {
      const found = this.#at(text, at);
      if (found === undefined) {
        at += 1;
        continue;
      }
      const { token, length } = found;
      addText(token.lstrip ? Math.max(start, text.slice(0, at).replace(/\p{White_Space}+$/u, '').length) : at);
      parts.push({ token: token.id });
      at += length;
      if (token.rstrip) at += /^\p{White_Space}*/u.exec(text.slice(at))?.[0].length ?? 0;
      start = at;
    }
    addText(text.length);
    return parts;
  }

  #at(text: string, at: number): { readonly token: AddedToken; readonly length: number } | undefined {
    for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
      const token = this.#byContent.get(text.slice(at, at + length));
      if (token === undefined) continue;
      const isWord = token.single_word && (wordBefore(text, at) || wordBehind(text, at + length));
      return isWord ? undefined : { token, length };
    }
    return undefined;
  }
}

/** Where a text stands behind an added token: nothing is put into a completion there either. */
function behind(place: PlacedText['place']): PlacedText['place'] {
  return place === 'continued' ? 'continued' : 'section';
}

function wordBefore(text: string, at: number): boolean {
  return wordCharacter.test([...text.slice(Math.max(0, at - 2), at)].at(-1) ?? '');
}

function wordBehind(text: string, at: number): boolean {
  return wordCharacter.test([...text.slice(at, at + 2)][0] ?? '');
}
