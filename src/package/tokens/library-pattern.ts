/** Regular expressions of `tokenizer.json`, which are written for Rust's engines. */

import { Tokenizer } from '@huggingface/tokenizers';
import { unknownStep } from './refusal.js';

/**
 * Returns the expression in JavaScript's form, into which the tokenizer library brings it.
 * @param field of `tokenizer.json`, for the error
 * @throws HoneError `PACKAGE_INVALID` if JavaScript cannot express it
 */
export function libraryPattern(expression: string, field: string): RegExp {
  const step = { type: 'Split', pattern: { Regex: expression }, behavior: 'Isolated', invert: false };
  // A tokenizer without tokens, of which only the step is used.
  const bare = { model: { type: 'BPE', vocab: {}, merges: [] }, added_tokens: [], normalizer: null };
  let pattern: unknown;
  try {
    const library = new Tokenizer({ ...bare, pre_tokenizer: step, post_processor: null, decoder: null }, {});
    pattern = (library.pre_tokenizer as { readonly pattern?: unknown } | null)?.pattern;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unknownStep(field, `an expression that JavaScript cannot express (${reason})`);
  }
  if (!(pattern instanceof RegExp)) throw unknownStep(field, 'an expression that JavaScript cannot express');
  return pattern;
}
