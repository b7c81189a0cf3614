/** Refuses texts that hold a token which the tokenizer lists, but the model does not have. */

import type { DecoderConfig } from '../package/index.js';
import { invalidRequest } from './request-errors.js';

/**
 * @param field of the request that holds the text
 * @throws HoneError `INVALID_REQUEST`
 */
export function checkKnownTokens(
  tokens: readonly number[],
  { vocabularySize }: Pick<DecoderConfig, 'vocabularySize'>,
  field: string,
): void {
  const unknown = tokens.find((token) => token >= vocabularySize);
  if (unknown === undefined) return;
  const known = `the model has tokens 0 to ${vocabularySize - 1}`;
  const description = `holds the text of token ${unknown}, but ${known}: send a text without that added token`;
  throw invalidRequest([{ field, description }]);
}
