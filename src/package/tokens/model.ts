/** Reads the `model` of `tokenizer.json`: its vocabulary, and what cuts words into tokens. */

import type { z } from 'zod';
import type { TokenBytes } from '../types.js';
import type { AddedToken } from './added-tokens.js';
import { BytePairEncoder, bpeSchema, compileBpe, expressesAll, type WordModel } from './bpe.js';
import { byteAlphabet } from './byte-alphabet.js';
import type { TokenForm } from './decoder-steps.js';
import { UnexpectedJson } from './json-bytes.js';
import { downloadAgain, unknownStep, unusable } from './refusal.js';
import { makeTokenTable } from './token-table.js';
import type { TokenizerFile } from './tokenizer-json.js';
import { Vocabulary } from './vocabulary.js';

export const modelSchema = bpeSchema;

export interface Model {
  readonly words: WordModel;
  readonly table: TokenBytes;
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
  /** The first id that is too large. */
  readonly largest: number;
}

/** @throws HoneError `PACKAGE_INVALID` */
export function readModel({ file, settings, addedTokens, form, largest }: ModelSource): Model {
  const { bytes, large } = file;
  const vocabulary = within('model.vocab', 'must be an object of token ids', large, (start) =>
    Vocabulary.read(bytes, start, largest),
  );
  const table = makeTokenTable(vocabulary, addedTokens, form);
  if (settings.ignore_merges === true && !form.byteLevel) {
    throw unknownStep('model.ignore_merges', 'true in a vocabulary that is not byte-level');
  }
  const leftOut = new Set(addedTokens.filter(({ special }) => special).map(({ id }) => id));
  const bpe = within('model.merges', 'must be an array of pairs of tokens', large, (merges) =>
    compileBpe({ settings, vocabulary, bytes, merges, leftOut }),
  );
  return {
    words: new BytePairEncoder(bpe, table),
    table,
    expressesAll: form.byteLevel
      ? byteAlphabet.every((character) => vocabulary.idOf(character) !== undefined)
      : expressesAll(bpe),
    idOf: (token) => vocabulary.idOf(token),
  };
}

/** Reads a large field. */
function within<T>(field: string, must: string, large: ReadonlyMap<string, number>, read: (start: number) => T): T {
  const start = large.get(field.slice('model.'.length));
  try {
    if (start !== undefined) return read(start);
  } catch (cause) {
    if (!(cause instanceof UnexpectedJson)) throw cause;
  }
  throw unusable(`does not fit (${field}: ${must})`, downloadAgain);
}
