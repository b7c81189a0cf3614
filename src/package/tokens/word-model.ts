/** What cuts one word of a text into tokens. */
export interface WordModel {
  encode(word: string): readonly number[];
}

/** Words whose tokens are kept, and the longest of them. Most words of a text occur again. */
const keptWords = 10_000;
const longestKept = 64;

/** Keeps the tokens of short words. */
export class RememberedWords implements WordModel {
  readonly #model: WordModel;
  readonly #known = new Map<string, readonly number[]>();

  constructor(model: WordModel) {
    this.#model = model;
  }

  encode(word: string): readonly number[] {
    const known = this.#known.get(word);
    if (known !== undefined) return known;
    const tokens = this.#model.encode(word);
    if (word.length <= longestKept) {
      if (this.#known.size >= keptWords) this.#known.clear();
      this.#known.set(word, tokens);
    }
    return tokens;
  }
}
