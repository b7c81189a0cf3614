/**
 * Unigram: of all ways to cut a word into tokens, the one with the largest sum of scores.
 *
 * Kudo 2018, "Subword Regularization", section 3.2; the best way is found from left to right, as Viterbi does. Of equally
 * good ways, the first that is found counts, as in Hugging Face's tokenizers.
 */

import { z } from 'zod';
import { downloadAgain, unusable } from './refusal.js';
import type { Vocabulary } from './vocabulary.js';
import type { WordModel } from './word-model.js';

/** The fields of a model beside its vocabulary. */
export const unigramSchema = z.looseObject({
  type: z.literal('Unigram'),
  unk_id: z.int().nonnegative().nullish(),
  byte_fallback: z.boolean().nullish(),
});

/** A character that is no token costs this much more than the worst token. */
const unknownPenalty = 10;

interface UnigramModel {
  readonly vocabulary: Vocabulary;
  /** By token. */
  readonly scores: Float64Array;
  /** Stands for a row of characters that are no tokens. */
  readonly unknown: number;
  /** As in a byte-pair encoding. */
  readonly byteTokens: Int32Array;
  /** Tokens that must not come out of any text. */
  readonly leftOut: ReadonlySet<number>;
}

export class UnigramEncoder implements WordModel {
  readonly #model: UnigramModel;
  readonly #longest: number;
  readonly #unknownScore: number;

  /** @throws HoneError `PACKAGE_INVALID` if the unknown token is none */
  constructor(model: UnigramModel) {
    this.#model = model;
    const { vocabulary, scores, unknown } = model;
    if (unknown >= scores.length) throw unusable(`model.unk_id is ${unknown}, which is no token`, downloadAgain);
    let [longest, worst] = [0, Number.POSITIVE_INFINITY];
    for (let place = 0; place < vocabulary.size; place++) {
      longest = Math.max(longest, vocabulary.end(place) - vocabulary.start(place));
      worst = Math.min(worst, scores[place] as number);
    }
    this.#longest = longest;
    this.#unknownScore = worst - unknownPenalty;
  }

  encode(word: string): readonly number[] {
    const bytes = Buffer.from(word, 'utf8');
    const path = this.#bestPath(bytes);
    const tokens: number[] = [];
    // Backwards from the end. A row of unknown characters is one stretch.
    let unknownEnd = -1;
    for (let end = bytes.length; ; end = path.starts[end] as number) {
      const token = end > 0 ? (path.tokens[end] as number) : undefined;
      const isUnknown = token === this.#model.unknown;
      if (unknownEnd >= 0 && !isUnknown) {
        tokens.push(...this.#unknownStretch(bytes.subarray(end, unknownEnd)).toReversed());
        unknownEnd = -1;
      }
      if (token === undefined) return tokens.reverse();
      if (!isUnknown) tokens.push(token);
      else if (unknownEnd < 0) unknownEnd = end;
    }
  }

  /** By each place where a character ends: the last token of the best way to it, and where that begins. */
  #bestPath(bytes: Uint8Array): { readonly starts: Int32Array; readonly tokens: Int32Array } {
    const { vocabulary, scores, unknown, leftOut } = this.#model;
    const best = new Float64Array(bytes.length + 1);
    const starts = new Int32Array(bytes.length + 1).fill(-1);
    const tokens = new Int32Array(bytes.length + 1);
    const offer = (start: number, end: number, token: number, score: number) => {
      const sum = (best[start] as number) + score;
      if (starts[end] !== -1 && sum <= (best[end] as number)) return;
      best[end] = sum;
      starts[end] = start;
      tokens[end] = token;
    };
    for (let start = 0; start < bytes.length; start = nextCharacter(bytes, start)) {
      const next = nextCharacter(bytes, start);
      let isToken = false;
      const last = Math.min(bytes.length, start + this.#longest);
      for (let end = next; end <= last; end = nextCharacter(bytes, end)) {
        const token = vocabulary.idOfBytes(bytes, start, end);
        if (token >= 0 && !leftOut.has(token)) {
          offer(start, end, token, scores[token] as number);
          if (end === next) isToken = true;
        }
        if (end === bytes.length) break;
      }
      if (!isToken) offer(start, next, unknown, this.#unknownScore);
    }
    return { starts, tokens };
  }

  #unknownStretch(bytes: Uint8Array): number[] {
    const tokens = Array.from(bytes, (byte) => this.#model.byteTokens[byte] ?? -1);
    return tokens.includes(-1) ? [this.#model.unknown] : tokens;
  }
}

/** Returns where the character behind the one at `at` begins. */
function nextCharacter(bytes: Uint8Array, at: number): number {
  let next = at + 1;
  while (next < bytes.length && ((bytes[next] as number) & 0xc0) === 0x80) next += 1;
  return next;
}
