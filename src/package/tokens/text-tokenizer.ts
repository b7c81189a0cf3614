/** Encodes texts: finds added tokens, normalizes, cuts into words, and words into tokens. */

import { type AddedToken, AddedTokens } from './added-tokens.js';
import type { Normalizer } from './normalizer.js';
import type { PreTokenizer } from './pre-tokenizer.js';
import type { TextPlace } from './text-place.js';
import type { WordModel } from './word-model.js';

export interface TextSteps {
  readonly normalizer: Normalizer;
  readonly preTokenizer: PreTokenizer;
  readonly model: WordModel;
  /** Those that may be written in a text. */
  readonly addedTokens: readonly AddedToken[];
}

export class TextTokenizer {
  readonly #added: AddedTokens;
  readonly #preTokenizer: PreTokenizer;
  readonly #model: WordModel;

  constructor({ normalizer, preTokenizer, model, addedTokens }: TextSteps) {
    this.#added = new AddedTokens(addedTokens, normalizer);
    this.#preTokenizer = preTokenizer;
    this.#model = model;
  }

  encode(text: string, place: TextPlace): number[] {
    const tokens: number[] = [];
    // UTF-8 cannot express half a surrogate pair; it becomes the replacement character.
    for (const part of this.#added.split({ text: text.replace(/\p{Surrogate}/gu, '\uFFFD'), place })) {
      if ('token' in part) tokens.push(part.token);
      else
        for (const word of this.#preTokenizer.split([part]))
          for (const token of this.#model.encode(word.text)) tokens.push(token);
    }
    return tokens;
  }
}
