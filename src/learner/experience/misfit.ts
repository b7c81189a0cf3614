/**
 * What keeps a generation from being an example for a decoder, whatever its scores are: tokens that the decoder does not
 * have, more tokens than its context holds, or log-probabilities that are none. An import refuses it, and the learner
 * sets it aside where an earlier build has stored it.
 */

import type { Generation } from '../../replay/index.js';

/** What a package's decoder can hold. */
export interface DecoderLimits {
  readonly vocabularySize: number;
  /** Prompt and completion together, in tokens. */
  readonly contextLength: number;
}

/** The field of the generation at fault, and the fault in words. */
export interface Misfit {
  readonly field: 'promptTokens' | 'tokens' | 'logprobs';
  readonly description: string;
}

/** A log-probability above 0 by no more than this is a rounding error. */
const roundingNats = 1e-3;

/** Returns the first fault; null if there is none. Empty tokens are no fault: they teach nothing and break nothing. */
export function misfitOf(
  { origin, promptTokens, tokens, logprobs }: Pick<Generation, 'origin' | 'promptTokens' | 'tokens' | 'logprobs'>,
  { vocabularySize, contextLength }: DecoderLimits,
): Misfit | null {
  const length = promptTokens.length + tokens.length;
  if (length > contextLength) {
    const field = promptTokens.length > contextLength ? 'promptTokens' : 'tokens';
    return { field, description: `prompt and completion have ${length} tokens, the context holds ${contextLength}` };
  }
  const outside = `the package's vocabulary is 0 to ${vocabularySize - 1}`;
  for (const [field, ids] of [
    ['promptTokens', promptTokens],
    ['tokens', tokens],
  ] as const) {
    const position = ids.findIndex((id) => id >= vocabularySize);
    if (position >= 0) return { field, description: `token ${position} is ${ids[position]}, ${outside}` };
  }
  // A person's text has no log-probabilities.
  if (origin === 'edit') return null;
  if (logprobs.length !== tokens.length) {
    return { field: 'logprobs', description: `there are ${logprobs.length} for ${tokens.length} tokens` };
  }
  const position = logprobs.findIndex((value) => !(Number.isFinite(value) && value <= roundingNats));
  if (position < 0) return null;
  return {
    field: 'logprobs',
    description: `number ${position} is ${logprobs[position]}, a log-probability is at most 0`,
  };
}
