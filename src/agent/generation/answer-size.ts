/**
 * How large an answer can become that holds whole completions in one message.
 *
 * The bound is known before any work is done: completions, tokens, alternatives, and the bytes of a token's text. A
 * caller that keeps its generations can fetch what did not fit, so the mean token counts. Nothing is left to fetch of a
 * generation that is not stored, by the caller's wish or because the store refuses writes, so there the longest token
 * counts.
 */

import { isUtf8 } from 'node:buffer';
import type { TokenBytes } from '../../package/index.js';

interface AskedSize {
  readonly n: number;
  readonly maxTokens: number;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
}

/** Bytes of the text of one token. */
interface TextBytes {
  readonly mean: number;
  readonly longest: number;
}

/** Ids and ends of a completion. */
const bytesPerCompletion = 96;
/** A token's id, as a varint of up to 28 bits. */
const idBytes = 4;
const floatBytes = 4;
/** The frame of the alternatives at one token. */
const alternativesFrame = 10;

/** Bytes of the answer, at the most if `worst`, else with texts of mean length. */
export function answerBytes(asked: AskedSize, tokens: TokenBytes, worst: boolean): number {
  const { mean, longest } = textBytesOf(tokens);
  const { n, maxTokens, logprobs, topLogprobs } = asked;
  const alternatives = topLogprobs === 0 ? 0 : alternativesFrame + topLogprobs * (idBytes + floatBytes);
  const perToken = (worst ? longest : mean) + idBytes + (logprobs ? 2 * floatBytes : 0) + alternatives;
  return Math.ceil(n * (bytesPerCompletion + maxTokens * perToken));
}

const known = new WeakMap<TokenBytes, TextBytes>();

function textBytesOf(tokens: TokenBytes): TextBytes {
  const found = known.get(tokens);
  if (found !== undefined) return found;
  const { bytes, ends } = tokens;
  let longest = 0;
  let start = 0;
  for (const end of ends) {
    // Bytes that are no characters by themselves become U+FFFD, of three bytes each.
    const length = isUtf8(bytes.subarray(start, end)) ? end - start : 3 * (end - start);
    longest = Math.max(longest, length);
    start = end;
  }
  const made = { mean: bytes.length / Math.max(1, ends.length), longest };
  known.set(tokens, made);
  return made;
}
