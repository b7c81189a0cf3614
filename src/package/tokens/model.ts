/** Reads the `model` of `tokenizer.json`: its vocabulary, and what cuts words into tokens. */

import { z } from 'zod';
import type { HoneError } from '../../errors.js';
import type { TokenBytes } from '../types.js';
import type { AddedToken } from './added-tokens.js';
import { BytePairEncoder, bpeSchema, compileBpe, expressesAll, readByteTokens } from './bpe.js';
import { byteAlphabet } from './byte-alphabet.js';
import type { TokenForm } from './decoder-steps.js';
import { downloadAgain, unknownStep, unusable } from './refusal.js';
import { makeTokenTable } from './token-table.js';
import type { TokenizerFile } from './tokenizer-json.js';
import { UnigramEncoder, unigramSchema } from './unigram.js';
import type { Vocabulary } from './vocabulary.js';
import { RememberedWords, type WordModel } from './word-model.js';

export const modelSchema = z.discriminatedUnion('type', [bpeSchema, unigramSchema]);

export interface Model {
  readonly words: WordModel;
  readonly table: TokenBytes;
  /** The tokens that are not added ones have ids below it. */
  readonly ownSize: number;
  /** Whether no character is left out of a text. */
  readonly expressesAll: boolean;
  /** Returns the id of a token by its text in the vocabulary. */
  idOf(token: string): number | undefined;
}

interface ModelSource {
  readonly file: TokenizerFile;
  readonly settings: z.output<typeof modelSchema>;
  readonly addedTokens: readonly AddedToken[];
  readonly form: TokenForm;
}

/** @throws HoneError `PACKAGE_INVALID` */
export function readModel(source: ModelSource): Model {
  const { settings, addedTokens } = source;
  const leftOut = new Set(addedTokens.filter(({ special }) => special).map(({ id }) => id));
  return settings.type === 'BPE' ? readBpe(source, settings, leftOut) : readUnigram(source, settings, leftOut);
}

function readBpe(
  { file, addedTokens, form }: ModelSource,
  settings: z.output<typeof bpeSchema>,
  leftOut: ReadonlySet<number>,
): Model {
  if (settings.ignore_merges === true && !form.byteLevel) {
    throw unknownStep('model.ignore_merges', 'true in a vocabulary that is not byte-level');
  }
  const { vocabulary, scores, merges } = file;
  if (vocabulary === null || scores !== null) throw unfit('vocab', 'must be an object of token ids');
  if (merges === null) throw unfit('merges', 'must be an array of pairs of tokens');
  const table = makeTokenTable(vocabulary, addedTokens, form);
  const bpe = compileBpe({ settings, vocabulary, merges, leftOut });
  return {
    words: new RememberedWords(new BytePairEncoder(bpe, table)),
    table,
    ownSize: ownSizeOf(vocabulary, addedTokens),
    expressesAll: form.byteLevel
      ? byteAlphabet.every((character) => vocabulary.idOf(character) !== undefined)
      : expressesAll(bpe),
    idOf: (token) => vocabulary.idOf(token),
  };
}

function readUnigram(
  { file, addedTokens, form }: ModelSource,
  settings: z.output<typeof unigramSchema>,
  leftOut: ReadonlySet<number>,
): Model {
  if (form.byteLevel) throw unknownStep('decoder', 'ByteLevel with a Unigram model');
  const { unk_id: unknown } = settings;
  if (unknown === null || unknown === undefined) throw unknownStep('model.unk_id', 'missing in a Unigram model');
  const { vocabulary, scores } = file;
  if (vocabulary === null || scores === null) throw unfit('vocab', 'must be an array of tokens and scores');
  const byteTokens = readByteTokens(vocabulary, settings.byte_fallback);
  return {
    words: new RememberedWords(new UnigramEncoder({ vocabulary, scores, unknown, byteTokens, leftOut })),
    table: makeTokenTable(vocabulary, addedTokens, form),
    ownSize: ownSizeOf(vocabulary, addedTokens),
    // A row of unknown characters is one token.
    expressesAll: false,
    idOf: (token) => vocabulary.idOf(token),
  };
}

function ownSizeOf(vocabulary: Vocabulary, addedTokens: readonly AddedToken[]): number {
  const added = new Set(addedTokens.map(({ id }) => id));
  let size = 0;
  for (let place = 0; place < vocabulary.size; place++) {
    const id = vocabulary.id(place);
    if (id >= size && !added.has(id)) size = id + 1;
  }
  return size;
}

function unfit(field: string, must: string): HoneError {
  return unusable(`does not fit (model.${field}: ${must})`, downloadAgain);
}
