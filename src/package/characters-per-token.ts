/**
 * How much text one token can stand for. A text that is too long for a context is refused by its length, because encoding
 * it would cost time and memory first.
 */

import { z } from 'zod';
import type { TokenBytes } from './types.js';

/** The bound for a tokenizer that may leave out a part of a text. */
const ofAnyTokenizer = 128;

const step = z.looseObject({
  type: z.string(),
  behavior: z.string().nullish(),
  pretokenizers: z.array(z.unknown()).nullish(),
});

const schema = z.looseObject({
  normalizer: z.null().optional(),
  pre_tokenizer: z.unknown(),
  added_tokens: z.array(z.looseObject({ special: z.boolean(), lstrip: z.boolean(), rstrip: z.boolean() })),
});

/**
 * Most UTF-16 units of a text that one token stands for: as many as the longest token has bytes, if the tokenizer takes
 * texts as they are.
 * @param json `tokenizer.json`
 * @param hasAllBytes whether its vocabulary has each byte by itself; others are left out of a text
 */
export function charactersPerToken(json: unknown, { ends }: TokenBytes, hasAllBytes: boolean): number {
  if (!hasAllBytes || !keepsTexts(json)) return ofAnyTokenizer;
  let longest = 1;
  let start = 0;
  for (const end of ends) {
    longest = Math.max(longest, end - start);
    start = end;
  }
  return Math.min(longest, ofAnyTokenizer);
}

/** Whether nothing shortens a text before it is cut into tokens. */
function keepsTexts(json: unknown): boolean {
  const { data } = schema.safeParse(json);
  if (data === undefined) return false;
  const strips = data.added_tokens.some(({ special, lstrip, rstrip }) => !special && (lstrip || rstrip));
  return !strips && keepsAll(data.pre_tokenizer);
}

function keepsAll(preTokenizer: unknown): boolean {
  const { data } = step.safeParse(preTokenizer);
  if (data === undefined) return false;
  const { type, behavior, pretokenizers } = data;
  if (type === 'Sequence') return (pretokenizers ?? []).every(keepsAll);
  return type === 'ByteLevel' || type === 'Digits' || (type === 'Split' && behavior !== 'Removed');
}
