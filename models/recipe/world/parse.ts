/** Finds the facts of a post in its text, so that a judge only needs the text. */
import { createFact, findValues } from './facts.js';
import { type Fact, factKinds } from './types.js';

/** The kinds that every post of this world has. */
const required = ['who', 'action', 'object', 'duration', 'option'] as const;

/**
 * Returns the facts of a post in the order of {@link factKinds}, or null if the text is not a post of this world.
 * The result is exact for each text of `createPost`, because no template or filler has a word of the lexicon.
 */
export function parsePost(text: string): readonly Fact[] | null {
  const found = findValues(text);
  if (required.some((kind) => !found.has(kind))) return null;
  return factKinds.flatMap((kind) => {
    const value = found.get(kind)?.[0];
    return value === undefined ? [] : [createFact(kind, value)];
  });
}
