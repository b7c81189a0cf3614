/** The types of the synthetic world: posts that ask for advice, and the facts that a summary of a post should keep. */

/** The subject of a fact. A post has each kind at most once. */
export type FactKind = 'who' | 'action' | 'object' | 'duration' | 'place' | 'amount' | 'feeling' | 'excuse' | 'option';

/** All kinds, in their usual order in a summary. */
export const factKinds: readonly FactKind[] = [
  'who',
  'action',
  'object',
  'place',
  'duration',
  'excuse',
  'amount',
  'feeling',
  'option',
];

/** One fact of a post. */
export interface Fact {
  readonly kind: FactKind;
  /** The canonical form, lower case: `sister`, `taking`, `three weeks`, `40`, `move out`. */
  readonly value: string;
  /** All accepted forms, the canonical one first, in lower-case words separated by one space. */
  readonly forms: readonly string[];
}

export type DomainName = 'home' | 'work' | 'money' | 'friends' | 'family' | 'sport' | 'travel' | 'pets' | 'tech';

/** A post: its text (about 40-70 tokens), its domain and the six or seven facts that it states. */
export interface Post {
  readonly text: string;
  readonly domain: DomainName;
  readonly facts: readonly Fact[];
}

/** Training posts and held-out posts never share a combination of who, object and option. */
export type Split = 'train' | 'held-out';
