/**
 * How much text one token can stand for. A text that is too long for a context is refused by its length, because encoding
 * it would cost time and memory first.
 */

import type { AddedToken } from './tokens/added-tokens.js';
import type { Normalizer } from './tokens/normalizer.js';
import type { PreTokenizer } from './tokens/pre-tokenizer.js';
import type { TokenBytes } from './types.js';

/** The bound for a tokenizer that may leave out a part of a text. */
const ofAnyTokenizer = 128;

interface Steps {
  readonly normalizer: Normalizer;
  readonly preTokenizer: PreTokenizer;
  readonly addedTokens: readonly AddedToken[];
}

/**
 * Most UTF-16 units of a text that one token stands for: as many as the longest token has bytes, if the tokenizer takes
 * texts as they are.
 * @param hasAllBytes whether its vocabulary has each byte by itself; others are left out of a text
 */
export function charactersPerToken(steps: Steps, { ends }: TokenBytes, hasAllBytes: boolean): number {
  if (!hasAllBytes || !keepsTexts(steps)) return ofAnyTokenizer;
  let longest = 1;
  let start = 0;
  for (const end of ends) {
    longest = Math.max(longest, end - start);
    start = end;
  }
  return Math.min(longest, ofAnyTokenizer);
}

/** Whether nothing shortens a text before it is cut into tokens. */
function keepsTexts({ normalizer, preTokenizer, addedTokens }: Steps): boolean {
  const strips = addedTokens.some(({ special, lstrip, rstrip }) => !special && (lstrip || rstrip));
  return !strips && normalizer.keepsLength && preTokenizer.keepsTexts;
}
