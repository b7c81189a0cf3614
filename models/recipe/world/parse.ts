/** Reading a post back into its facts, so that a judge needs the text alone. */
import { createFact, findValues } from './facts.js';
import { type Fact, factKinds } from './types.js';

/** The kinds without which a text is no post of this world. */
const required = ['who', 'action', 'object', 'duration', 'option'] as const;

/**
 * The facts of a post, in the order of {@link factKinds}; null for a text that is not a post of this world.
 * Exact for every text that `createPost` writes: no word of a template or filler belongs to the lexicon.
 */
export function parsePost(text: string): readonly Fact[] | null {
  const found = findValues(text);
  if (required.some((kind) => !found.has(kind))) return null;
  return factKinds.flatMap((kind) => {
    const value = found.get(kind)?.[0];
    return value === undefined ? [] : [createFact(kind, value)];
  });
}
