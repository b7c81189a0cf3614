/** The token sequences on which a proof compares. */

import type { Package } from '../package/index.js';

/** A prompt, and the tokens behind it that are compared. */
export interface Sequence {
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
}

/** Tokens that are compared behind each prompt. */
export const comparedTokens = 8;
/** Prompts are computed in pieces of so many tokens, so that the longest one is cut. */
export const prefillChunk = 16;
const promptLengths = [3, 11];
/** The longest prompt where every token sees all others. */
const plainLength = 40;
/** Bytes of the logits of one sequence. */
const largestLogits = 2 ** 28;

const text =
  'The river had risen twice since March, and each time the village council met in the old school to argue about the ' +
  'bridge. Ana counted 14 wooden planks; her brother, who was seven, counted 15. "Who is right?" she asked. Nobody ' +
  'answered, because the bell rang: it was 6:30, the bread was ready, and 3 × 5 is still 15.\n\n';

/**
 * Sequences of a text: two short ones of different lengths, and one that is longer than the windows of the model, as far
 * as the context and the memory for its logits reach.
 */
export function sequencesFor({ config, tokenizer }: Package): Sequence[] {
  const windows = (config.windows ?? []).filter((window) => window !== null);
  const wanted = Math.max(plainLength, ...windows.map((window) => window + comparedTokens));
  const room = Math.min(config.contextLength, Math.floor(largestLogits / 4 / config.vocabularySize)) - comparedTokens;
  const longest = Math.max(1, Math.min(wanted, room));
  const tokens = textTokens(tokenizer, longest + comparedTokens);
  const lengths = [...promptLengths.filter((length) => length < longest), longest];
  return lengths.map((length) => ({
    prompt: tokens.slice(0, length),
    completion: tokens.slice(length, length + comparedTokens),
  }));
}

function textTokens(tokenizer: Package['tokenizer'], count: number): number[] {
  const tokens = tokenizer.encodeText(text);
  while (tokens.length < count) tokens.push(...tokenizer.encodeCompletion(text));
  return tokens;
}
